"""What really happens in the plant: a seeded, deterministic discrete-event model. Pure: no clock, no network, no files.

`Plant(scenario, start_ms, …).advance(to_ms)` gives the events up to that plant time in time order. Same scenario and seed, same events, however
often and in whatever steps it is advanced.
"""

from simulators.physics.events import (
    ActEvent,
    CountEvent,
    ErpEvent,
    Event,
    LotEvent,
    MinuteEvent,
    OfflineEvent,
    PieceEvent,
    PlcEvent,
    PowerEvent,
    StateEvent,
    VarEvent,
)
from simulators.physics.plant import Plant

__all__ = [
    "ActEvent",
    "CountEvent",
    "ErpEvent",
    "Event",
    "LotEvent",
    "MinuteEvent",
    "OfflineEvent",
    "PieceEvent",
    "Plant",
    "PlcEvent",
    "PowerEvent",
    "StateEvent",
    "VarEvent",
]
