"""What the meter buses have in common: the line (TCP gateway or serial port) and the polling of many devices on it."""
