"""A subscription that outlives its connection: what is known of it, what of it is stored, and the bytes that find it again after a restart. Pure.

The memory of a notification is written in the transaction that makes its last value durable. After a kill the notifications behind it are
asked for again; those that had been handed in by then (`repeated_to`) may be stored in part, up to their devices' proven moment.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from edge_agent.sources.opcua.offset import ClockOffset

SEQUENCES = 0xFFFFFFFF  # they go 1, 2, … SEQUENCES, 1 (OPC 10000-4, 7.25)
VERSION = 1
TRIES_MAX = 5


@dataclass(frozen=True, slots=True)
class Subscription:
    """As the server revised it."""

    id: int
    publishing_s: float
    keep_alive_s: float


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a server: its ApplicationUri and when it started. Subscription ids mean nothing in another run."""

    server: str
    started_ms: int


def following(sequence: int) -> int:
    return sequence % SEQUENCES + 1


def items_hash(settings: Iterable[object], nodes: Iterable[tuple[int, str]]) -> str:
    """What a subscription's handles mean: another hash, another meaning."""
    text = json.dumps([list(settings), sorted(nodes)], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(slots=True)
class Held:
    """A subscription at the server. `next_sequence`: of the notification not yet received; None before the first."""

    subscription: Subscription
    run: Run
    items: str
    refused: tuple[int, ...]  # handles of items that the server would not watch
    offset: ClockOffset
    next_sequence: int | None = None
    stored: int = 0  # newest sequence that is durable, 0: none
    repeated_to: int = 0  # up to this sequence values may have been stored before the restart
    until_ms: int = 0  # up to when everything had been handed in
    until_run: Run | None = None  # the run of the server in which that was, where it is not this one
    unstored: int = 0
    tries: int = 0  # times in a row that the link broke while it was being taken up
    to_acknowledge: list[int] = field(default_factory=list)
    ids: dict[int, int] = field(default_factory=dict)  # handle -> the server's id of its item; lost by a restart of the agent
    progress: asyncio.Event = field(default_factory=asyncio.Event)

    def restarted_since(self, run: Run) -> bool:
        """Whether the server was started anew since `until_ms`."""
        known = self.until_run or self.run
        return known.server == run.server and known != run

    def try_again_at(self, sequence: int | None) -> None:
        """The link broke while it was being taken up: the next connection goes on there, unless that has happened too often."""
        self.tries += 1
        self.next_sequence = sequence if self.tries <= TRIES_MAX else None

    def on_stored(self, sequence: int) -> None:
        """In the event loop, after the worker's commit."""
        self.unstored -= 1
        self.stored = sequence
        self.to_acknowledge.append(sequence)
        self.progress.set()

    def memory(self, sequence: int) -> bytes:
        """To be stored with the last value of notification `sequence`."""
        made = self.subscription
        return json.dumps(
            {
                "version": VERSION,
                "id": made.id,
                "sequence": sequence,
                "publishing_s": made.publishing_s,
                "keep_alive_s": made.keep_alive_s,
                "server": self.run.server,
                "started_ms": self.run.started_ms,
                "items": self.items,
                "refused": self.refused,
                "until_ms": self.until_ms,
                "offset_ms": self.offset.ms,
            },
            separators=(",", ":"),
        ).encode()


def recalled(durable: bytes, received: bytes, speed: float) -> Held | None:
    """The subscription of before the restart; None when there was none, or its last state is not certain."""
    try:
        last, handed_in = json.loads(durable or b"null"), json.loads(received or b"null")
        if not last or not handed_in or last["version"] != VERSION or (last["id"], last["started_ms"]) != (handed_in["id"], handed_in["started_ms"]):
            return None
        made = Subscription(int(last["id"]), float(last["publishing_s"]), float(last["keep_alive_s"]))
        return Held(
            made,
            Run(str(last["server"]), int(last["started_ms"])),
            str(last["items"]),
            tuple(int(handle) for handle in last["refused"]),
            ClockOffset(tolerance_ms(made.publishing_s, speed), float(handed_in["offset_ms"])),
            following(int(last["sequence"])),
            int(last["sequence"]),
            int(handed_in["sequence"]),
            int(handed_in["until_ms"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def tolerance_ms(publishing_s: float, speed: float) -> float:
    """By how much stamps and arrival may differ without a clock being wrong."""
    return (2 * publishing_s + 2.0) * 1000.0 * speed
