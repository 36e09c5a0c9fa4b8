"""What sources tell the worker. Times are plant milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edge_agent.config import AgentConfig
from edge_agent.contract.names import GapCause
from edge_agent.health import SourceHealth
from edge_agent.pipeline.columns import Columns, Flags
from edge_agent.pipeline.tags import Evolution


@dataclass(frozen=True, slots=True)
class Batch:
    """Raw values of a source, and up to when its devices are now known.

    `stored` is called (from the worker) once everything of this batch is durable: only then may the source acknowledge it.
    `initial`: rows that are the first value after a connect; those older than what is proven are stamped `initial_ms`.
    `overflow`: rows before which the source dropped values.
    `memory`: what the source wants to find again after a restart (`Buffer.source_memories`); it is stored in the transaction that makes the last
    value of this batch durable, so that the two always agree.
    `repeated`: values that may have been handed in before; those at or before the proven moment were, and are left out.
    """

    devices: Sequence[int]
    columns: Columns
    until_ms: int | None = None
    arrived_ms: int = 0
    initial: Flags | None = None
    initial_ms: int = 0
    overflow: Sequence[int] = ()
    stored: Callable[[], object] | None = None
    memory: bytes | None = None
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """Nothing can be known of these devices from their last proven moment on."""

    devices: Sequence[int]
    cause: GapCause
    detail: str


@dataclass(frozen=True, slots=True)
class ClockSet:
    """Plant time was set from `from_ms` to `to_ms`; no source runs at this moment."""

    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """These devices are proven again from `at_ms` on. `restarted`: the source itself began anew meanwhile (its counters may have, too)."""

    devices: Sequence[int]
    at_ms: int
    restarted: bool = False


@dataclass(frozen=True, slots=True)
class Reconfigured:
    """The agent goes on with another config. Sources that changed have ended before; `done` is called (from the worker) when the pipeline follows."""

    config: AgentConfig
    step: Evolution
    healths: Mapping[str, SourceHealth]
    born_anew: bool
    done: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Continued:
    """Nothing of these devices was missed after all: what follows goes on from the proven moment, and no gap is recorded.

    `detail`: the time since then was read afterwards (a server's history); it is marked with these words.
    """

    devices: Sequence[int]
    at_ms: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a source finds again after a restart: its memory of the newest durable batch, and of the newest batch that had been handed in then.

    Of the batches after the first and up to the second, every value at or before the devices' proven moment is stored.
    """

    durable: bytes
    received: bytes


RECEIVED = "/received"  # behind a source's name: where its second memory lies
SourceEvent = Batch | Lost | Resumed | Continued
