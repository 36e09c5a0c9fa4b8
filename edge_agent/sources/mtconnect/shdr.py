"""SHDR, the lines of an MTConnect adapter -> observations. Pure: text and the moment of its arrival in, observations and signs of life out.

    2022-08-08T13:51:36.7711738Z|pexecution|ACTIVE|p1Fact|312.5        any number of keys and values
    2022-08-08T13:51:34.7Z|system|FAULT|2250|1|HIGH|door is open       a condition: level, native code, severity, qualifier, text
    1200|execution|READY        milliseconds since the adapter's first such line;      |execution|READY      now
    * PONG 10000                the answer to "* PING": alive, and how often it wants to be asked
    …|@ASSET@|id|type|--multiline--ABCD …                              an asset: passed over with all its lines

Escaped pipes stand in quotes ("a\\|b"), as the reference agent reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from edge_agent.sources.mtconnect.observation import UNAVAILABLE, Level, Observation, parse_time_ms

LINE_MAX = 1_000_000  # bytes; an asset may be long, a line without end is no adapter
_LEVELS: dict[str, Level] = {"NORMAL": "NORMAL", "WARNING": "WARNING", "FAULT": "FAULT", "UNAVAILABLE": "UNAVAILABLE"}
_CONDITION_FIELDS = 7
_RELATIVE = re.compile(r"\d+(\.\d+)?")
_PONG = re.compile(r"\*\s*PONG\s+(\d+)")
_RESET = re.compile(r"(-?\d+(?:\.\d+)?):[A-Z_]+")  # a total with why it was reset: 0:DAY


@dataclass(slots=True)
class Reader:
    """State over the lines of one connection. `conditions`: keys known to be conditions (from the config)."""

    conditions: frozenset[str] = frozenset()
    pong_ms: int = 0  # heartbeat the adapter asked for in its last PONG; 0: none yet
    bad_lines: int = 0
    commands: dict[str, str] = field(default_factory=dict)
    _until: str | None = None  # end mark of a multi-line asset
    _base: tuple[float, int] | None = None  # relative time 0 and when it came

    def line(self, text: str, arrived_ms: int) -> Iterator[Observation]:
        """Observations of one line (without its end). A line that cannot be read is counted and passed over."""
        text = text.rstrip("\r\n")
        if self._until is not None:
            if text.strip() == self._until:
                self._until = None
            return
        if text.startswith("*"):
            self._command(text)
            return
        if "|" not in text:
            self.bad_lines += bool(text.strip())
            return
        stamp, *fields = _split(text)
        if fields[0].startswith("@"):
            multi = fields[-1].strip()
            self._until = multi if multi.startswith("--multiline--") else None
            return
        try:
            t_ms = self._time_ms(stamp.partition("@")[0].strip(), arrived_ms)
        except ValueError:
            self.bad_lines += 1
            return
        yield from self._observations(fields, t_ms)

    def _observations(self, fields: list[str], t_ms: int) -> Iterator[Observation]:
        key = fields[0].strip()
        level = _LEVELS.get(fields[1].strip().upper()) if len(fields) > 1 else None
        if level is not None and self._is_condition(key, fields, level):
            padded = [*fields, *[""] * _CONDITION_FIELDS]
            yield Observation(key, t_ms, padded[5].strip(), level=level, code=padded[2].strip())
            return
        for at in range(0, len(fields) - 1, 2):
            key, value = fields[at].strip(), fields[at + 1].strip()
            if key:
                total = _RESET.fullmatch(value)
                yield Observation(key, t_ms, total[1] if total else value)
        if len(fields) == 1:
            self.bad_lines += 1

    def _is_condition(self, key: str, fields: list[str], level: Level) -> bool:
        if key in self.conditions:
            return True
        return len(fields) == _CONDITION_FIELDS - 1 and (level != UNAVAILABLE or not any(f.strip() for f in fields[2:]))

    def _command(self, text: str) -> None:
        pong = _PONG.match(text)
        if pong is not None:
            self.pong_ms = max(1, int(pong[1]))
            return
        name, colon, value = text[1:].partition(":")
        if colon and len(self.commands) < 64:
            self.commands[name.strip()] = value.strip()

    def _time_ms(self, stamp: str, arrived_ms: int) -> int:
        if not stamp:
            return arrived_ms
        if not _RELATIVE.fullmatch(stamp):
            return parse_time_ms(stamp)
        moment = float(stamp)
        if self._base is None or moment < self._base[0]:  # the first one, or its count began anew
            self._base = (moment, arrived_ms)
        return self._base[1] + round(moment - self._base[0])


def _split(text: str) -> list[str]:
    """Fields between pipes; a field in quotes may hold escaped pipes."""
    if '"' not in text:
        return text.split("|")
    out: list[str] = []
    at = 0
    while at <= len(text):
        quoted = re.compile(r'"((?:[^"\\]|\\.)*)"(?=\||$)').match(text, at)
        if quoted is not None and "\\|" in quoted[1]:
            out.append(quoted[1].replace("\\|", "|"))
            at = quoted.end() + 1
            continue
        end = text.find("|", at)
        end = len(text) if end < 0 else end
        out.append(text[at:end])
        at = end + 1
    return out
