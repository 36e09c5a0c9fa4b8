"""Watches the buffer and the disk under it, and says in words what a person should do about them, before anything is lost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from edge_agent.buffer import disk
from edge_agent.buffer.store import Buffer
from edge_agent.health import SourceHealth

HIGH, CRITICAL = 0.80, 0.95


class Level(StrEnum):
    """On the wire as Buffer/State; every level is worse than the one before."""

    OK = "ok"
    HIGH = "high"  # 80 %
    CRITICAL = "critical"  # 95 %
    THINNING = "thinning"  # plain samples are left out, totals and states are kept
    FULL = "full"  # nothing more can be stored; reading stops


@dataclass(frozen=True, slots=True)
class Storage:
    """`used` of `bound` bytes of the buffer; of the disk: how full (0..1) and what is free. `lean`: the disk is full, the reserve is used."""

    used: int
    bound: int
    disk_fill: float
    free: int
    lean: bool = False
    facts_only: bool = False  # the buffer is at its bound and nothing is left to thin
    stuck: bool = False  # the disk is full and the reserve is used up

    @property
    def fill(self) -> float:
        return self.used / self.bound

    @property
    def squeezed(self) -> bool:
        """The disk cannot hold the buffer that the config allows: only then its fill is our business."""
        return self.free < self.bound - self.used


def level_of(now: Storage) -> Level:
    worst = max(now.fill, now.disk_fill if now.squeezed else 0.0)
    if now.stuck or now.facts_only:
        return Level.FULL
    if now.lean or now.fill >= 1.0:
        return Level.THINNING
    return Level.CRITICAL if worst >= CRITICAL else Level.HIGH if worst >= HIGH else Level.OK


def words_of(now: Storage) -> tuple[str, str] | None:
    """What is the matter and the next step, in English and Chinese; None when all is well."""
    level = level_of(now)
    free_mb = now.free / 1e6
    if level is Level.OK:
        return None
    if now.stuck:
        return (
            "the disk is full and the reserve is used up: values wait in memory, then reading stops. Free some space; it goes on by itself.",
            "磁盘已满,预留空间也已用完:数据暂存内存,随后停止读取。请清理磁盘,之后自动恢复。",
        )
    if now.facts_only:
        return (
            "the buffer is full and holds nothing but totals and states: reading has stopped. Bring the server back, or raise buffer.max_mb.",
            "缓冲已满且只剩累计数与状态:已停止读取。请恢复服务器,或加大 buffer.max_mb。",
        )
    if now.lean:
        return (
            f"the disk is full ({free_mb:.0f} MB free): only totals and states are stored, plain samples are left out. Free some space.",
            f"磁盘已满(剩余 {free_mb:.0f} MB):只保存累计数与状态,普通采样被丢弃。请清理磁盘。",
        )
    if now.fill >= HIGH:
        return (
            f"the buffer is {now.fill:.0%} full because the server does not take records. At 100 % the oldest plain samples go; totals and states "
            "stay. Check server and network, or raise buffer.max_mb.",
            f"缓冲已用 {now.fill:.0%},因为服务器没有接收记录。到 100% 时丢弃最旧的普通采样,累计数与状态保留。"
            "请检查服务器与网络,或加大 buffer.max_mb。",
        )
    return (
        f"the disk is {now.disk_fill:.0%} full ({free_mb:.0f} MB free), less than buffer.max_mb allows the buffer. Free some space.",
        f"磁盘已用 {now.disk_fill:.0%}(剩余 {free_mb:.0f} MB),不足以容纳 buffer.max_mb。请清理磁盘。",
    )


class StorageWatch:
    """Looks once a second; its words stand in the health of every source as long as they are true."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self._damaged = 0
        self.now = self._measure(facts_only=False, stuck=False)

    def _measure(self, *, facts_only: bool, stuck: bool) -> Storage:
        buffer = self._buffer
        return Storage(buffer.size_bytes(), buffer.max_bytes, disk.fill(buffer.path), disk.free_bytes(buffer.path), buffer.lean, facts_only, stuck)

    @property
    def level(self) -> Level:
        return level_of(self.now)

    def look(self, healths: Iterable[SourceHealth], *, facts_only: bool, stuck: bool) -> None:
        self.now = self._measure(facts_only=facts_only, stuck=stuck)
        healths = tuple(healths)
        for health in healths:
            health.say("storage", words_of(self.now))
        if self._buffer.damaged_records > self._damaged:
            self._damaged = self._buffer.damaged_records
            for health in healths:
                health.note(
                    "buffer",
                    f"{self._damaged} record(s) of the buffer were damaged on the disk; what they held is a gap. Check the disk.",
                    f"缓冲中有 {self._damaged} 条记录在磁盘上损坏,其内容记为缺口。请检查磁盘。",
                )
