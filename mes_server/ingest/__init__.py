"""From the broker to the two stores: Sparkplug host application, delivery marks, facts into the book of record, samples into telemetry.

Knows MQTT and Sparkplug; the meaning of a fact belongs to machine_states, work_orders and energy, which it calls through their services.
"""
