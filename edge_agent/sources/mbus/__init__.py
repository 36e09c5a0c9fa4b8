"""M-Bus meters (EN 13757-2 and -3): heat, water, gas and electricity over a level converter or a TCP gateway."""
