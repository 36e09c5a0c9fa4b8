"""Where things happen: site, lines, machines, stations, meters, shifts, reasons, alarms. Knows no order, no count and no state."""
