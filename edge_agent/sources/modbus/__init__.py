"""Modbus meters, TCP and RTU: frames, the connection's rules (one request at a time, match, drop what is late), meter models, probing."""
