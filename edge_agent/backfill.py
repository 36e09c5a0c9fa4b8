"""A recording through the very pipeline of the live agent into its buffer, as backlog. The next `run` delivers it, in order, as historical."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_agent.buffer.store import Buffer
from edge_agent.config import AgentConfig
from edge_agent.contract.clock import iso
from edge_agent.contract.names import GapCause
from edge_agent.errors import RecordingInvalid
from edge_agent.pipeline.columns import DOUBLE, INT, Columns, Value
from edge_agent.pipeline.pipeline import Pipeline
from edge_agent.pipeline.tags import Tag, compile_tags
from edge_agent.sources import recording
from edge_agent.sources.registry import resolve_devices

COMMIT_VALUES = 20_000


@dataclass(frozen=True, slots=True)
class Done:
    values: int
    devices: int
    records: int
    seconds: float

    @property
    def values_per_s(self) -> float:
        return self.values / max(self.seconds, 1e-9)


def fill(config: AgentConfig, path: Path, *, skip_unknown: bool = False, resume: bool = False) -> Done:
    """Takes the whole recording or, at an invalid line, everything before it. Raises RecordingInvalid, BufferLocked, BufferUnusable, OSError.

    `resume`: what the buffer already knows is left out, so that a run that was cut off (power, kill) is finished by the same command.
    """
    header, entries = recording.read(path)
    if header.edge != config.edge:
        raise RecordingInvalid(
            f"The recording is of edge {header.edge}, the config of {config.edge}.",
            f"记录属于 {header.edge},而配置是 {config.edge}。",
            "Take the recording of this edge.",
            "请使用本网关的记录。",
        )
    buffer = Buffer(config.buffer.path, config.buffer.max_mb * 1_000_000, config.buffer.reserve_mb * 1_000_000)
    try:
        filling = _Filling(config, buffer, path, header.from_ms, skip_unknown=skip_unknown, resume=resume)
        started = time.monotonic()
        for entry in entries:
            filling.take(entry)
        filling.commit()
        return Done(filling.values, len(filling.touched), filling.records, time.monotonic() - started)
    finally:
        buffer.close()


class _Filling:
    def __init__(self, config: AgentConfig, buffer: Buffer, path: Path, from_ms: int, *, skip_unknown: bool, resume: bool) -> None:
        self._buffer, self._path, self._skip_unknown = buffer, path, skip_unknown
        plan = compile_tags(resolve_devices(config))
        self._tags: dict[tuple[str, str], Tag] = plan.by_key()
        self._device = {spec.id: spec.index for spec in plan.devices}
        self._pipeline = Pipeline(plan, buffer.catalogue, buffer.memories(), values_max=config.delivery.record_values_max)
        self._pending = 0
        self._advanced: set[int] = set()
        self.values = 0
        self.records = 0
        self.touched: set[str] = set()
        self._known_ms = {device.spec.index: device.memory.proven_ms for device in self._pipeline.devices} if resume else {}
        for device in self._pipeline.devices:
            if device.memory.proven_ms and not (resume and device.memory.proven_ms >= from_ms):
                device.lost(GapCause.EDGE_DOWN, "not recorded")
                device.resume(from_ms)

    def take(self, entry: recording.Entry) -> None:
        index = self._device.get(entry.device)
        if index is None:
            self._unknown(entry.line, f"device {entry.device}")
            return
        self.touched.add(entry.device)
        if isinstance(entry, recording.Values):
            self._put(entry, index)
        elif isinstance(entry, recording.Watched):
            self._advance(index, entry.until_ms)
        elif entry.to_ms > self._known_ms.get(index, 0):
            self._advance(index, entry.from_ms)
            self.commit()
            self._pipeline.lost((index,), entry.cause, entry.detail)
            self._pipeline.resume((index,), entry.to_ms)
        if self._pending >= COMMIT_VALUES:
            self.commit()

    def _advance(self, index: int, until_ms: int) -> None:
        self._pipeline.advance((index,), until_ms)
        self._advanced.add(index)

    def _unknown(self, line: int, what: str) -> None:
        if not self._skip_unknown:
            raise RecordingInvalid(
                f"{self._path.name} line {line}: {what} is not in the config.",
                f"{self._path.name} 第 {line} 行:{what} 不在配置中。",
                "Add it, or use --skip-unknown.",
                "请补充,或使用 --skip-unknown。",
            )

    def _put(self, entry: recording.Values, index: int) -> None:
        tag = self._tags.get((entry.device, entry.metric))
        if tag is None:
            self._unknown(entry.line, f"metric {entry.metric} of {entry.device}")
            return
        times, values = entry.t_ms, entry.values
        known_ms = self._known_ms.get(index)
        if known_ms is not None and times and min(times) <= known_ms:
            fresh = [(t_ms, value) for t_ms, value in zip(times, values, strict=True) if t_ms > known_ms]
            times, values = [t_ms for t_ms, _ in fresh], [value for _, value in fresh]
        if not times:
            return
        proven_ms = self._pipeline.devices[index].memory.proven_ms
        first_ms = min(times)
        if first_ms <= proven_ms:
            raise RecordingInvalid(
                f"{self._path.name} line {entry.line}: {entry.device} has a value at {iso(first_ms)}, but it is known up to {iso(proven_ms)}.",
                f"{self._path.name} 第 {entry.line} 行:{entry.device} 的值早于缓冲已有数据({iso(proven_ms)})。",
                "Give only what comes after, or finish a run that was cut off with --resume.",
                "只能补充其后的数据;若上次中断,请使用 --resume 继续。",
            )
        self._pipeline.push(_columns(tag, times, values))
        self._pending += len(times)
        self.values += len(times)

    def commit(self) -> None:
        """Everything behind the watched marks becomes records."""
        self._pipeline.beat(self._advanced)
        devices = self._pipeline.devices
        records = [(devices[record.device].spec.id, record.columns) for record in self._pipeline.drain()]
        memories = [(device.spec.id, device.memory) for device in devices if device.changed]
        proven = [(devices[index].spec.id, devices[index].memory.proven_ms) for index in self._advanced]
        self.records += len(self._buffer.commit(records, memories, proven))
        for device in devices:
            device.changed = False
        self._advanced.clear()
        self._pending = 0
        self._buffer.tend()


def _columns(tag: Tag, t_ms: Sequence[int], values: Sequence[Value]) -> Columns:
    """One metric's values; plain numbers without a Python object each."""
    n = len(values)
    ids, times = np.full(n, tag.number, np.uint32), np.array(t_ms, np.int64)
    if tag.role == "sample" and all(type(value) in (int, float) for value in values):
        return Columns(ids, times, np.array(values, np.float64).view(np.uint64), np.full(n, DOUBLE, np.uint8))
    rows = ((tag.number, when, _kind(value), value) for when, value in zip(t_ms, values, strict=True))
    return Columns.of(rows)


def _kind(value: Value) -> int:
    from edge_agent.contract.payload import DataType

    if isinstance(value, bool):
        return int(DataType.BOOLEAN)
    if isinstance(value, int):
        return INT
    return DOUBLE if isinstance(value, float) else int(DataType.STRING)
