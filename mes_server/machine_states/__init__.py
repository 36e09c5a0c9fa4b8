"""What the machines did: states, gaps, stops and who said why. Everything is derived from facts, so late facts restate by themselves."""
