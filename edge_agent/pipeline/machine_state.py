"""Raw state codes -> the normalised states of vocabulary.md. Tables, no logic.

PackML: ISA-TR88.00.02 state numbers 1 to 17 (0 = undefined). OPC 40001-1 (OPC UA for Machinery): MachineryItemState names and numbers.
MTConnect: the values of `Execution`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edge_agent.contract.names import MachineState as S

PACKML: Final[Mapping[str, S]] = {
    "0": S.NO_DATA,
    "1": S.SETUP,  # Clearing
    "2": S.STOPPED,  # Stopped
    "3": S.SETUP,  # Starting
    "4": S.IDLE,  # Idle
    "5": S.STARVED,  # Suspended: waits for something outside (material, downstream)
    "6": S.PRODUCING,  # Execute
    "7": S.STOPPED,  # Stopping
    "8": S.FAULT,  # Aborting
    "9": S.FAULT,  # Aborted
    "10": S.STOPPED,  # Holding
    "11": S.STOPPED,  # Held: stopped by a condition inside the machine
    "12": S.STOPPED,  # Unholding
    "13": S.STARVED,  # Suspending
    "14": S.STARVED,  # Unsuspending
    "15": S.SETUP,  # Resetting
    "16": S.PRODUCING,  # Completing: the last piece is being finished
    "17": S.IDLE,  # Complete
    "clearing": S.SETUP,
    "stopped": S.STOPPED,
    "starting": S.SETUP,
    "idle": S.IDLE,
    "suspended": S.STARVED,
    "execute": S.PRODUCING,
    "stopping": S.STOPPED,
    "aborting": S.FAULT,
    "aborted": S.FAULT,
    "holding": S.STOPPED,
    "held": S.STOPPED,
    "unholding": S.STOPPED,
    "suspending": S.STARVED,
    "unsuspending": S.STARVED,
    "resetting": S.SETUP,
    "completing": S.PRODUCING,
    "complete": S.IDLE,
}
OPC40001: Final[Mapping[str, S]] = {
    # StateNumbers as in the published NodeSet; NotAvailable: "e.g., switched off, in energy saving mode"
    "0": S.OFF,  # NotAvailable
    "1": S.FAULT,  # OutOfService
    "2": S.IDLE,  # NotExecuting
    "3": S.PRODUCING,  # Executing
    "notexecuting": S.IDLE,
    "outofservice": S.FAULT,
    "notavailable": S.OFF,
    "executing": S.PRODUCING,
}
MTCONNECT: Final[Mapping[str, S]] = {
    "active": S.PRODUCING,
    "ready": S.IDLE,
    "wait": S.STARVED,
    "feed_hold": S.STOPPED,
    "interrupted": S.STOPPED,
    "stopped": S.STOPPED,
    "optional_stop": S.STOPPED,
    "program_stopped": S.STOPPED,
    "program_completed": S.IDLE,
    "program_optional_stop": S.STOPPED,
    "unavailable": S.NO_DATA,
}
MAPS: Final[Mapping[str, Mapping[str, S]]] = {"packml": PACKML, "opc40001": OPC40001, "mtconnect": MTCONNECT}


def code_of(raw: object) -> str:
    """The key under which a raw value stands in a map: numbers as integers, text in small letters."""
    if isinstance(raw, bool):
        return str(int(raw))
    if isinstance(raw, float) and raw.is_integer():
        return str(int(raw))
    return str(raw).strip().lower()


def map_state(table: Mapping[str, S], raw: object) -> S | None:
    """The normalised state, or None for a code that nobody mapped."""
    return table.get(code_of(raw))


def table_of(states: str | Mapping[str, S] | None) -> Mapping[str, S]:
    """The map a config names or spells out; PackML when it says nothing."""
    if states is None:
        return PACKML
    if isinstance(states, str):
        return MAPS[states]
    return {key.strip().lower(): value for key, value in states.items()}
