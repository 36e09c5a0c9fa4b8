"""The line controllers: real OPC UA servers that show what the physics says, and restart when it says so."""

from simulators.plc.server import LinePlc, PlcIdentity

__all__ = ["LinePlc", "PlcIdentity"]
