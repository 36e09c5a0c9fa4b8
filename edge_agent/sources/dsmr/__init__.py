"""DSMR P1 and its relatives: the customer port of smart meters in the Netherlands, Belgium, Luxembourg, Sweden, Austria, Hungary, Ireland."""
