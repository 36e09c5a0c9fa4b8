"""Composition root of the edge agent: config and clock in, a ready agent out. Nothing here happens at import."""

from __future__ import annotations

from collections.abc import Callable

from edge_agent import identity
from edge_agent.agent import Agent
from edge_agent.buffer.store import Buffer
from edge_agent.clock_guard import ClockGuard
from edge_agent.config import AgentConfig
from edge_agent.contract.clock import Clock, ManualClock
from edge_agent.events import RECEIVED, Remembered
from edge_agent.health import SourceHealth
from edge_agent.pipeline.tags import TagPlan, compile_tags
from edge_agent.sources.registry import make_source, resolve_devices
from edge_agent.sources.source import Remembering, Source
from edge_agent.worker import Worker


def build_sources(config: AgentConfig, clock: Clock) -> tuple[TagPlan, list[Source], dict[str, SourceHealth]]:
    """The plan of tags, the sources and their health. Raises ConfigInvalid."""
    devices = resolve_devices(config)
    plan = compile_tags(devices)
    healths = {name: SourceHealth(name, tuple(source.devices)) for name, source in config.sources.items()}
    return plan, [make_source(name, config, plan, devices, clock, healths[name]) for name in config.sources], healths


def _recall(sources: list[Source], buffer: Buffer) -> None:
    memories = buffer.source_memories()
    for source in sources:
        if isinstance(source, Remembering) and source.name in memories:
            source.recall(Remembered(memories[source.name], memories.get(source.name + RECEIVED, b"")))


def build_agent(config: AgentConfig, clock: Clock, log: Callable[[str], None] | None = None, *, take_over: bool = False) -> Agent:
    """An agent that is not yet running. Opens the buffer: raises BufferUnusable, BufferLocked, ConfigInvalid. `take_over`: a person says that
    this machine holds the edge's identity from now on."""
    if not isinstance(clock, ManualClock):  # that one is moved by whoever holds it
        clock = ClockGuard(clock)
    plan, sources, healths = build_sources(config, clock)
    buffer = Buffer(config.buffer.path, config.buffer.max_mb * 1_000_000, config.buffer.reserve_mb * 1_000_000)
    machine = identity.machine(config.buffer.path)
    moved = buffer.claim(machine)
    if isinstance(clock, ClockGuard):
        clock.began_after(max((memory.proven_ms for memory in buffer.memories().values()), default=0))
    worker = Worker(config, plan, buffer, clock, healths, identity.instance(machine))
    worker.node.take_over = take_over
    agent = Agent(config, clock, sources, worker, log)
    if not moved:  # on another machine the old one may still go on from there
        _recall(sources, buffer)
    if moved:
        for health in healths.values():
            health.note(
                "buffer",
                "this buffer file was used on another machine before (a copied card, or a disk that moved): a new epoch was begun.",
                "此缓冲文件曾在另一台机器上使用(复制的存储卡或更换过主机的磁盘):已开始新纪元。",
            )
    agent.may_change(lambda name, to, plan, devices, health: make_source(name, to, plan, devices, clock, health), resolve_devices(config))
    if buffer.set_aside is not None:
        for health in healths.values():
            health.note(
                "buffer",
                f"the buffer file was damaged and is kept as {buffer.set_aside.name}; a new one was begun.",
                f"缓冲文件损坏,已保留为 {buffer.set_aside.name},并新建了缓冲。",
            )
    return agent
