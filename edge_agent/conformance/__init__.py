"""Grades Sparkplug B 3.0 edge nodes and host applications, anybody's: by what a broker delivers, or by what a client really sends (proxy)."""
