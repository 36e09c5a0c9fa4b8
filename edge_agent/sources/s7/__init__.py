"""Siemens S7 (300, 400, 1200, 1500) over ISO on TCP."""
