"""Delivery marks and gap records: what makes "counted once, whatever fails" possible over Sparkplug's QoS 0.

Every record of an edge's buffer has a number n = 1, 2, 3, … within an epoch (one epoch = one buffer file, i.e. one disk). A record is what one
device said at once. Live, one record is one DDATA message and its mark `<epoch>:<n>` travels in the payload's `uuid` field. The server applies
record n only when n = mark + 1, in the transaction that moves its mark, and answers "stored up to mark" by an NCMD; only then may the edge delete.
n <= mark is a repeat (answered again, not applied); n > mark + 1 shows on live tiles but is not booked: it comes again as historical.

A backlog travels in bundles: one DDATA with several records of one device, `<epoch>:<n>x<m>,<n>x<m>,…` where the next m metrics of the message are
record n. Numbers rise, the counts add up to the metrics of the message, there are 2 to RECORDS_MAX records. The edge cuts what waits into windows of
consecutive records and sends the bundles of a window by their first record. So every message that comes in its turn brings the record the
server waits for; the later records of the same message wait there for the other devices' messages of the window. A bundle is not a unit of storing:
each of its records is applied, repeated, refused or put aside alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import ge

from edge_agent.contract.names import GapCause

RECORDS_MAX = 512  # of one bundle: its mark is shorter than 16 kB, its length two bytes of varint
NUMBER_MAX = 2**63 - 1
_EPOCH = re.compile(r"[0-9a-f]{16}")
_PART = r"[1-9][0-9]{0,18}x(?:0|[1-9][0-9]{0,4})"
_PARTS = re.compile(rf"{_PART}(?:,{_PART})+")


class BadMark(ValueError):
    """A payload's uuid that is no delivery mark."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Record n (>= 1) of the buffer `epoch` (16 hex digits)."""

    epoch: str
    n: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.n}"

    @classmethod
    def parse(cls, text: str) -> Mark:
        epoch, _, n = text.partition(":")
        if not _EPOCH.fullmatch(epoch) or len(n) > 19 or not n.isascii() or not n.isdigit() or not 1 <= int(n) <= NUMBER_MAX:
            raise BadMark(f"{text[:60]!r} is not a delivery mark <16 hex digits>:<record number>")
        return cls(epoch, int(n))


@dataclass(frozen=True, slots=True)
class Marks:
    """The records in one message: `counts[i]` metrics belong to record `numbers[i]`."""

    epoch: str
    numbers: Sequence[int]
    counts: Sequence[int]

    def __str__(self) -> str:
        """One record is written as a plain mark."""
        if len(self.numbers) == 1:
            return f"{self.epoch}:{self.numbers[0]}"
        return f"{self.epoch}:" + ",".join([f"{n}x{count}" for n, count in zip(self.numbers, self.counts, strict=True)])

    @classmethod
    def parse(cls, text: str, metrics: int) -> Marks:
        """Of a message with so many metrics. Raises BadMark for whatever is not exactly what `str` writes of such records."""
        if "x" not in text:
            mark = Mark.parse(text)
            return cls(mark.epoch, (mark.n,), (metrics,))
        epoch, _, parts = text.partition(":")
        if not _EPOCH.fullmatch(epoch) or not _PARTS.fullmatch(parts):
            raise BadMark(f"{text[:60]!r} is not a list of records <16 hex digits>:<record number>x<metrics>,…")
        figures = list(map(int, parts.replace("x", ",").split(",")))
        numbers, counts = figures[::2], figures[1::2]
        if len(numbers) > RECORDS_MAX or numbers[-1] > NUMBER_MAX or any(map(ge, numbers, numbers[1:])):
            raise BadMark(f"{text[:60]!r}: more than {RECORDS_MAX} records, or their numbers do not rise")
        if sum(counts) != metrics:
            raise BadMark(f"{text[:60]!r} tells of {sum(counts)} metrics, the message has {metrics}")
        return cls(epoch, numbers, counts)


@dataclass(frozen=True, slots=True)
class GapRecord:
    """From `from_ms` to `to_ms` (plant time, half open) nothing is known of this device.

    `parts_max` bounds the pieces that may be missing where a counter was reset inside the gap; None: running totals carry the count over.
    """

    from_ms: int
    to_ms: int
    cause: GapCause
    detail: str = ""
    counter_reset: bool = False
    parts_max: int | None = None

    def to_json(self) -> str:
        return json.dumps(
            {
                "from_ms": self.from_ms,
                "to_ms": self.to_ms,
                "cause": self.cause.value,
                "detail": self.detail,
                "counter_reset": self.counter_reset,
                "parts_max": self.parts_max,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> GapRecord:
        """Raises ValueError for anything that is not a gap record; unknown keys are tolerated."""
        raw = json.loads(text)
        if not isinstance(raw, dict):
            raise ValueError("a gap record is a JSON object")
        try:
            gap = cls(
                int(raw["from_ms"]),
                int(raw["to_ms"]),
                GapCause(raw["cause"]),
                str(raw.get("detail", "")),
                bool(raw.get("counter_reset", False)),
                None if raw.get("parts_max") is None else int(raw["parts_max"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"gap record lacks or garbles {error}") from error
        if gap.to_ms < gap.from_ms:
            raise ValueError("a gap ends before it begins")
        return gap
