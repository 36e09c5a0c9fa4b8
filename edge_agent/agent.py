"""The running agent: sources supervised in the event loop, one worker thread that stores and sends.

A source that fails is said to be lost (a gap opens), waited for with a growing, jittered pause and tried again, for ever; it never touches
the others. This is the only place with a broad except: an error nobody foresaw in one source must not stop the rest, and is shown in words.
A worker that ends with an error ends the agent: what is on disk is safe, and a fresh start recovers from there.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from edge_agent.clock_guard import ClockGuard
from edge_agent.config import AgentConfig
from edge_agent.contract.clock import Clock
from edge_agent.contract.names import GapCause
from edge_agent.control.change import Change, difference
from edge_agent.errors import BufferUnusable, ConfigInvalid, EdgeError, Fenced, SourceMisconfigured
from edge_agent.events import ClockSet, Lost, Reconfigured
from edge_agent.health import SourceHealth
from edge_agent.pipeline.tags import DeviceSource, TagPlan, evolve
from edge_agent.sources.registry import resolve_devices
from edge_agent.sources.source import Knocking, Sink, Source
from edge_agent.worker import Worker

MakeSource = Callable[[str, AgentConfig, TagPlan, Mapping[str, DeviceSource], SourceHealth], Source]
FIRST_PAUSE_S = 0.1
QUICK_TRIES = 5  # a PLC that restarts is back soon: the first tries come quickly
DOUBLED_MAX = 20  # beyond every backoff_max_s; 2.0 ** 1024 is an error, and a PLC that is off for a weekend is tried more often than that
WATCH_S = 0.2
KNOCK_S, KNOCK_LATER_S = 0.05, 0.1  # how often a counterpart that is away is looked for: in the first minute, and then
KNOCK_SOON_S = 60.0


def say(text: str) -> None:
    """The agent's log is its error stream. A stream that cannot be written (a full disk, a reader that went away) must not end what is logged."""
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - see above


def pause_s(failures: int, longest_s: float) -> float:
    """Real seconds before the next try after so many failures in a row: quick ones, then doubled up to `longest_s`; jittered."""
    grown = FIRST_PAUSE_S if failures <= QUICK_TRIES else min(longest_s, FIRST_PAUSE_S * 2.0 ** min(failures - QUICK_TRIES, DOUBLED_MAX))
    return grown * random.uniform(0.7, 1.3)  # noqa: S311 - jitter, not a secret


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancels until it is heard: asyncio.wait_for of Python 3.11, which drivers use, may swallow a cancellation."""
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=WATCH_S)


class Agent:
    """Built by `app.build_agent`. `run` ends when `stop` was called; it raises when the worker failed."""

    def __init__(
        self, config: AgentConfig, clock: Clock, sources: Sequence[Source], worker: Worker, log: Callable[[str], None] | None = None
    ) -> None:
        self.config, self.clock, self.sources, self.worker = config, clock, sources, worker
        self.started_s = time.monotonic()
        self._make: MakeSource | None = None
        self._devices: dict[str, DeviceSource] = {}
        self._sink = Sink(worker.intake)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._log = log or say
        self._stop = asyncio.Event()
        self._fenced = False
        self._changing = asyncio.Lock()  # sources are ended and begun by one at a time: a set clock and a new config may come together
        self.applying = False  # a config is being watched: another one must wait, or a return to the one before would undo it

    def stop(self) -> None:
        self._stop.set()

    def may_change(self, make: MakeSource, devices: Mapping[str, DeviceSource]) -> None:
        """Tells how sources are made, so that `reconfigure` can; `devices` are those of the present config."""
        self._make, self._devices = make, dict(devices)

    async def run(self) -> None:
        self.worker.start()
        for source in self.sources:
            self._begin(source)
        try:
            while not self._stop.is_set() and self.worker.is_alive():
                with suppress(asyncio.TimeoutError):
                    async with asyncio.timeout(WATCH_S):
                        await self._stop.wait()
                self._mind_supervision()
                self._say_if_fenced()
                self._say_refused()
                await self._mind_clock()
        finally:
            await _end(list(self._tasks.values()))
            self.worker.stop()
            await asyncio.to_thread(self.worker.join)
        if self.worker.failed is not None:
            raise self._worker_error(self.worker.failed) from self.worker.failed

    def _mind_supervision(self) -> None:
        """A source whose supervision ended would be silent for ever and look only lost: the agent goes down in words and is started again."""
        for name, task in self._tasks.items():
            if task.done():
                error = asyncio.CancelledError() if task.cancelled() else task.exception()
                self._log("".join(traceback.format_exception(error)))
                raise EdgeError(
                    f"The supervision of source {name} ended: {error!r}.",
                    f"数据源 {name} 的监护任务异常结束:{error!r}。",
                    "Start the agent again and report this; nothing stored is lost.",
                    "请重新启动并反馈此问题;已存数据不会丢失。",
                ) from error

    async def _mind_clock(self) -> None:
        """When plant time was set, every source ends and begins anew: none of them has a timer in the time before."""
        if not isinstance(self.clock, ClockGuard) or not self.clock.step_due:
            return
        async with self._changing:
            await self._begin_anew(self.clock)

    async def _begin_anew(self, clock: ClockGuard) -> None:
        await _end(list(self._tasks.values()))
        step = clock.step()
        by = 0 if step is None else round((step.to_ms - step.from_ms) / 1000)
        if step is not None:
            self._log(f"Plant time was set by {by:+d} s, as the server says. 已按服务器时间调整 {by:+d} 秒。")
            self._sink.put(ClockSet(step.from_ms, step.to_ms))
        for source in self.sources:
            self._sink.put(Lost(source.devices, GapCause.CLOCK, f"the edge's clock was set by {by:+d} s"))
            self._begin(source)

    def _say_if_fenced(self) -> None:
        """Once when it begins and once when it is over: the identity is another agent's."""
        seconds = self.worker.node.fenced_s
        if (seconds is not None) == self._fenced:
            return
        self._fenced = seconds is not None
        if seconds is None:
            self._log(f"The server takes data as {self.config.edge} from this agent again. 服务器已重新接受本网关 {self.config.edge} 的数据。")
            return
        known = Fenced(
            f"Another agent holds the identity {self.config.edge}: the server does not take data from this one. "
            f"It goes on reading and keeps everything; it asks again in {seconds:.0f} s.",
            f"另一个网关正在使用编号 {self.config.edge}:服务器不接受本网关的数据。本网关继续采集并保存全部数据,{seconds:.0f} 秒后再次询问。",
            "If this is a copy, give it an edge id of its own. If it replaces the other box, switch that one off or start this one with --take-over.",
            "若本机是复制品,请为其设置独立的网关编号;若本机替换原设备,请关闭原设备,或用 --take-over 启动本机。",
        )
        self._log(known.text("en"))
        self._log(known.text("zh"))
        for source in self.sources:
            source.health.note("edge", known.text("en"), known.text("zh"))

    def _say_refused(self) -> None:
        """Commands that were not carried out, in the log and on the health of the source they were meant for."""
        node = self.worker.node
        refusals, node.refusals = node.refusals, []
        for device, metric in refusals:
            what_en, what_zh = (f"of device {device}", f"设备 {device} 的") if device else ("of the node", "节点的")
            en = f"A command wanted to write {metric} {what_en}. It was not carried out: this edge writes nothing to machines. Look who sent it."
            zh = f"有命令要写{what_zh} {metric}。未执行:本网关不向设备写入任何值。请查明发送者。"
            self._log(en)
            self._log(zh)
            for source in self.sources:
                if not device or device in source.health.devices:
                    source.health.note(device or "edge", en, zh)

    def _begin(self, source: Source) -> None:
        self._tasks[source.name] = asyncio.create_task(self._supervise(source, self._sink), name=f"source {source.name}")

    async def reconfigure(self, config: AgentConfig) -> Change:
        """Goes on with `config`: sources that differ end and begin anew, the others never notice. Raises ConfigInvalid; then nothing has changed."""
        async with self._changing:
            return await self._reconfigure(config)

    async def _reconfigure(self, config: AgentConfig) -> Change:
        change = difference(self.config, config)
        if change.needs_restart:
            keys = ", ".join(change.needs_restart)
            raise ConfigInvalid(
                f"{keys} cannot change while the agent runs.",
                f"{keys} 不能在运行中更改。",
                "Change the config file and start the agent again; nothing is lost by it.",
                "请修改配置文件并重新启动,数据不会丢失。",
            )
        assert self._make is not None, "build_agent tells how sources are made"
        devices = resolve_devices(config)
        step = evolve(self.worker.plan, self._devices, devices)
        begun = {*change.sources_added, *change.sources_changed}
        healths = {
            name: SourceHealth(name, tuple(source.devices)) if name in begun else self._health(name) for name, source in config.sources.items()
        }
        made = [self._make(name, config, step.plan, devices, healths[name]) for name in config.sources if name in begun]
        ended = [name for name in self._tasks if name in begun or name in change.sources_removed]
        await _end([self._tasks.pop(name) for name in ended])
        followed = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.worker.intake.put(Reconfigured(config, step, healths, change.all_born_anew, partial(loop.call_soon_threadsafe, followed.set)))
        while self.worker.is_alive() and not followed.is_set():
            with suppress(asyncio.TimeoutError):
                async with asyncio.timeout(WATCH_S):
                    await followed.wait()
        self.config, self._devices = config, devices
        self.sources = [*(source for source in self.sources if source.name not in ended), *made]
        for source in made:
            self._sink.put(Lost(source.devices, GapCause.EDGE_DOWN, "the configuration of the source was changed"))
            self._begin(source)
        return change

    def _health(self, name: str) -> SourceHealth:
        return next(source.health for source in self.sources if source.name == name)

    def _worker_error(self, error: BaseException) -> EdgeError:
        if isinstance(error, sqlite3.Error):
            return BufferUnusable(
                f"The buffer {self.config.buffer.path} failed: {error}.",
                f"缓冲文件 {self.config.buffer.path} 出错:{error}。",
                "What was stored is safe. Check the disk, then start the agent again.",
                "已存数据安全。请检查磁盘后重新启动。",
            )
        return EdgeError(
            f"The worker ended: {error!r}.", f"工作线程异常结束:{error!r}。", "Start the agent again and report this.", "请重新启动并反馈此问题。"
        )

    async def _supervise(self, source: Source, sink: Sink) -> None:
        failures = 0
        lost_s = time.monotonic()
        while isinstance(self.clock, ClockGuard) and not self.clock.may_stamp:
            await asyncio.sleep(WATCH_S)  # the clock says something impossible: the server is asked first
        while True:
            source.health.status = "connecting" if not source.health.error else source.health.status
            try:
                await source.session(sink)
            except (Exception, asyncio.CancelledError) as error:  # the supervision boundary
                me = asyncio.current_task()
                if isinstance(error, asyncio.CancelledError) and (me is None or me.cancelling()):
                    raise  # we are ended; a driver's own request that was cancelled is an error like others
                if source.health.status == "connected":
                    failures, lost_s = 0, time.monotonic()
                failures += 1
                self._failed(source, sink, error, failures)
            knock_s = KNOCK_S if time.monotonic() - lost_s < KNOCK_SOON_S else KNOCK_LATER_S
            if await self._waited_for(source, pause_s(failures, self.config.sources[source.name].backoff_max_s), knock_s):
                failures = 1  # it is back: quick tries again

    async def _waited_for(self, source: Source, pause_s: float, knock_s: float = KNOCK_S) -> bool:
        """Pauses; True, and at once, when the counterpart that was away is back."""
        end_s = time.monotonic() + pause_s
        while (left_s := end_s - time.monotonic()) > 0:
            await asyncio.sleep(min(left_s, knock_s * random.uniform(0.7, 1.3)))  # noqa: S311 - jitter, not a secret
            if await self._knocks(source):
                return True
        return False

    async def _knocks(self, source: Source) -> bool:
        try:
            return isinstance(source, Knocking) and await source.knock()
        except Exception as error:  # noqa: BLE001 - the supervision boundary: it goes on with the next try
            self._log(f"source {source.name}: {error!r} while it was looked for\n{traceback.format_exc()}")
            return False

    def _failed(self, source: Source, sink: Sink, error: BaseException, failures: int) -> None:
        known = (
            error if isinstance(error, EdgeError) else EdgeError(f"Unexpected {error!r}.", f"意外错误 {error!r}。", "Please report this.", "请反馈。")
        )
        health = source.health
        if failures == 1 or health.error != known.text():
            self._log(f"source {source.name}: {known.text()}")
        health.status = "misconfigured" if isinstance(error, SourceMisconfigured) else "lost"
        health.error, health.error_zh = known.text("en"), known.text("zh")
        if failures == 1:
            sink.put(Lost(source.devices, GapCause.SOURCE_LOST, known.en))
