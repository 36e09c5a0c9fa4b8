"""Delivery marks and gap records: what makes "counted once, whatever fails" possible over Sparkplug's QoS 0.

Every record of an edge's buffer has a number n = 1, 2, 3, … within an epoch (one epoch = one buffer file, i.e. one disk). One record is one
DDATA message of one device. Its mark travels in the payload's `uuid` field as `<epoch>:<n>`. The server applies record n only when
n = mark + 1, in the transaction that moves its mark, and answers "stored up to mark" by an NCMD; only then may the edge delete.
n <= mark is a repeat (answered again, not applied); n > mark + 1 shows on live tiles but is not booked: it comes again as historical.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from edge_agent.contract.names import GapCause

_EPOCH = re.compile(r"[0-9a-f]{16}")


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
        if not _EPOCH.fullmatch(epoch) or not n.isascii() or not n.isdigit() or not 1 <= int(n) < 2**63:
            raise BadMark(f"{text!r} is not a delivery mark <16 hex digits>:<record number>")
        return cls(epoch, int(n))


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
