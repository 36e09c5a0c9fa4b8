"""MTConnect's XML documents -> headers, data items, observations. Pure; expat alone, and it never reads what a document points at.

A document with a DOCTYPE is refused before anything in it is expanded: no entities, no external files (MTConnect has neither), so no bombs.
Elements are known by their local names, whatever the namespace and version (1.0 to 2.x).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from edge_agent.sources.mtconnect.observation import Level, Observation, parse_time_ms

DEPTH_MAX = 64
_LEVELS: Final[dict[str, Level]] = {"Normal": "NORMAL", "Warning": "WARNING", "Fault": "FAULT", "Unavailable": "UNAVAILABLE"}
_CONTAINERS: Final = frozenset({"Samples", "Events", "Condition", "Conditions"})


class DocumentInvalid(ValueError):
    """Not a document of MTConnect, or one that is dangerous to read; says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """What an agent says of its buffer. 0: it does not say. Sequences start at 1."""

    instance: str = ""
    first: int = 0
    last: int = 0
    next: int = 0
    created_ms: int | None = None


@dataclass(frozen=True, slots=True)
class DataItem:
    """`device`: name, uuid and id of its device. `path`: where it hangs, for people."""

    id: str
    name: str
    type: str
    category: str
    representation: str
    path: str
    device: tuple[str, str, str]

    @property
    def is_condition(self) -> bool:
        return self.category == "CONDITION"


@dataclass(slots=True)
class Document:
    """`errors`: (code, text) of an MTConnectError."""

    kind: str = ""
    header: Header = field(default_factory=Header)
    items: list[DataItem] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)


def parse(data: bytes) -> Document:
    """Raises DocumentInvalid."""
    return _Reader().read(data)


def _whole(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 20 else 0


class _Reader:
    def __init__(self) -> None:
        self._out = Document()
        self._stack: list[str] = []
        self._names: list[str] = []  # of the components around, for paths
        self._device = ("", "", "")
        self._open: tuple[int, str, dict[str, str]] | None = None  # depth, element, attributes of the observation or error being read
        self._text: list[str] = []

    def read(self, data: bytes) -> Document:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        try:
            parser.Parse(data, True)
        except expat.ExpatError as error:
            raise DocumentInvalid(f"it is not XML: {error}") from error
        if not self._out.kind.startswith("MTConnect"):
            raise DocumentInvalid(f"its root is {self._out.kind[:40]!r}, not MTConnect…")
        return self._out

    def _doctype(self, *_: object) -> None:
        raise DocumentInvalid("it has a DOCTYPE, which MTConnect does not use")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        if not self._stack:
            self._out.kind = name
        if len(self._stack) >= DEPTH_MAX:
            raise DocumentInvalid(f"its elements are nested deeper than {DEPTH_MAX}")
        inside = self._stack[-1] if self._stack else ""
        self._stack.append(name)
        if name == "Header" and len(self._stack) == 2:
            self._header(attributes)
        elif name == "DataItem":
            self._item(attributes)
        elif self._open is None and (inside in _CONTAINERS or (inside == "Errors" and name == "Error")):
            self._open = (len(self._stack), name, attributes)
            self._text.clear()
        elif inside == "Devices":  # Device, or the Agent itself
            self._device = (attributes.get("name", ""), attributes.get("uuid", ""), attributes.get("id", ""))
        elif inside in ("Components", "Axes"):
            self._names.append(attributes.get("name", name))

    def _end(self, tag: str) -> None:
        self._stack.pop()
        if self._open is not None and self._open[0] == len(self._stack) + 1:
            self._close(self._open[1], self._open[2], "".join(self._text).strip())
            self._open = None
        elif self._stack and self._stack[-1] in ("Components", "Axes") and self._names:
            self._names.pop()

    def _header(self, attributes: dict[str, str]) -> None:
        created = attributes.get("creationTime")
        try:
            created_ms = parse_time_ms(created) if created else None
        except ValueError:
            created_ms = None
        first, last, after = (_whole(attributes.get(f"{which}Sequence")) for which in ("first", "last", "next"))
        self._out.header = Header(attributes.get("instanceId", ""), first, last, after, created_ms)

    def _item(self, attributes: dict[str, str]) -> None:
        found = DataItem(
            attributes.get("id", ""),
            attributes.get("name", ""),
            attributes.get("type", ""),
            attributes.get("category", ""),
            attributes.get("representation", "VALUE"),
            "/".join((self._device[0], *self._names)),
            self._device,
        )
        if found.id:
            self._out.items.append(found)

    def _close(self, name: str, attributes: dict[str, str], text: str) -> None:
        if name == "Error":
            self._out.errors.append((attributes.get("errorCode", ""), text[:300]))
            return
        item = attributes.get("dataItemId", "")
        if not item:
            return
        try:
            t_ms = parse_time_ms(attributes["timestamp"])
        except (KeyError, ValueError):
            t_ms = None
        sequence = _whole(attributes.get("sequence"))
        level = _LEVELS.get(name)
        if level is not None:
            self._out.observations.append(Observation(item, t_ms, text, sequence, level, attributes.get("nativeCode", "")))
        elif name.endswith("TimeSeries") and t_ms is not None:
            self._series(item, t_ms, text, sequence, attributes)
        else:
            self._out.observations.append(Observation(item, t_ms, text, sequence))

    def _series(self, item: str, t_ms: int, text: str, sequence: int, attributes: dict[str, str]) -> None:
        """Values at a fixed rate; the timestamp is the last one's (Part 2, TIME_SERIES)."""
        values = text.split()
        try:
            rate_hz = float(attributes.get("sampleRate", ""))
        except ValueError:
            rate_hz = 0.0
        step_ms = 1000.0 / rate_hz if rate_hz > 0 else 0.0
        for back, value in zip(range(len(values) - 1, -1, -1), values, strict=True):
            self._out.observations.append(Observation(item, round(t_ms - back * step_ms), value, sequence))
