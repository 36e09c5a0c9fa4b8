"""The edge agent: reads PLCs and meters, keeps what it read on disk, publishes it as Sparkplug B. Importing this loads nothing."""
