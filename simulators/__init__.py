"""A small pump maker, simulated: machines, PLCs, meters, an ERP, operators, and a ledger of what truly happened."""
