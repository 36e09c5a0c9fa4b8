"""MQTT as a source: meters and devices that speak JSON, and other Sparkplug edge nodes."""
