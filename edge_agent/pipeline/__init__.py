"""What raw values mean: scaling, deadband, counters, machine states, order in time, gaps. Pure: no input, output, clock or logging."""
