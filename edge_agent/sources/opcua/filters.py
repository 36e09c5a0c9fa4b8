"""Deadbands kept by the server: percent of the item's range, else absolute, else none; tried once and remembered.

A filter is asked for only where the config says `deadband_percent` (the agent's own `deadband` works everywhere and needs no server). A server
that knows no filter at all is not asked again; an item that allows none (it has no range, it is no number) is remembered by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from asyncua import ua

PERCENT, ABSOLUTE, NONE = "percent", "absolute", "none"
_UNSUPPORTED = frozenset({ua.StatusCodes.BadMonitoredItemFilterUnsupported, ua.StatusCodes.BadMonitoredItemFilterInvalid})
_NOT_FOR_THIS = frozenset({ua.StatusCodes.BadFilterNotAllowed, ua.StatusCodes.BadDeadbandFilterInvalid})


@dataclass(frozen=True, slots=True)
class Deadband:
    """What is wanted of an item: percent of its EURange, and in its own units (0: not wanted)."""

    percent: float = 0.0
    absolute: float = 0.0


NO_DEADBAND = Deadband()


@dataclass(slots=True)
class Filters:
    """What one server was found to refuse. Lives as long as its source."""

    supported: bool = True  # the profile's word: S7-1200 is not asked at all
    items_per_call: int | None = None  # what it takes at once, where it refused more
    _server: set[str] = field(default_factory=set)
    _items: dict[int, set[str]] = field(default_factory=dict)

    def step(self, handle: int, wanted: Deadband) -> str:
        """The strongest filter not yet refused for this item."""
        refused = self._server | self._items.get(handle, set())
        if self.supported and wanted.percent:
            if PERCENT not in refused:
                return PERCENT
            if wanted.absolute and ABSOLUTE not in refused:
                return ABSOLUTE
        return NONE

    def refused(self, handle: int, step: str, code: int) -> bool:
        """Takes note of a refusal; True when a weaker filter is to be tried."""
        if step == NONE:
            return False
        if code in _UNSUPPORTED:
            self._server.add(step)
        elif code in _NOT_FOR_THIS:
            self._items.setdefault(handle, set()).add(step)
        else:
            return False
        return True


def of(step: str, wanted: Deadband) -> ua.DataChangeFilter | None:
    """The filter to ask for."""
    if step == NONE:
        return None
    kind, value = (ua.DeadbandType.Percent, wanted.percent) if step == PERCENT else (ua.DeadbandType.Absolute, wanted.absolute)
    return ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValue, DeadbandType=kind, DeadbandValue=value)
