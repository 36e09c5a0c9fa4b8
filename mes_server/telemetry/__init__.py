"""The telemetry store: samples of numbers over time, a projection that may be deleted and rebuilt. Knows series and time, no machine and no order."""
