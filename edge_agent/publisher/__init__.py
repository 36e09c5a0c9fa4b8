"""Sparkplug B 3.0 edge node over MQTT: births, data, deaths, host state, delivery of the buffer."""
