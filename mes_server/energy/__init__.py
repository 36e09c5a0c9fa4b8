"""Energy from meters' running totals: what was used between any two moments, demand, power factor, per good piece, idle waste."""
