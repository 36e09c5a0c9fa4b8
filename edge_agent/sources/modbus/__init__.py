"""Modbus TCP meters: pymodbus frames and parses, the connection's rules (one request at a time, match, drop on time-out) are our own."""
