"""What the edge benchmarks share: a config over the fast source or a real PLC, a real agent process, a host that counts without an object a value."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _opcua_source

ROOT = Path(__file__).parents[1]


def head(broker: Any, more: str = "") -> str:
    """The part of a config before its sources."""
    return f'group = "PUMP"\nedge = "EDGE-L1"\n\n[[brokers]]\ncredentials_file = "{broker.credentials_file("EDGE-L1")}"\nkeepalive_s = 5\n\n{more}\n'


def tags_of(source: str, namespace: str, tags: int, devices: int = 1) -> str:
    """Devices D0, D1, … with `tags` plain samples t0, t1, … between them, nodes s=T0, s=T1, …"""
    each = tags // devices
    out = []
    for device in range(devices):
        out.append(f'[sources.{source}.devices.D{device}]\nnamespace = "{namespace}"\n[sources.{source}.devices.D{device}.metrics]')
        out += [f't{i} = {{ node = "s=T{i}" }}' for i in range(device * each, (device + 1) * each)]
    return "\n".join(out) + "\n"


def fast_source(
    port: int,
    tags: int,
    devices: int = 1,
    more: str = "settle_s = 0.2",
    interval_s: float = _opcua_source.INTERVAL_S,
    security: str = 'security = "none"',
) -> str:
    """A source over the fast server of `_opcua_source.py`."""
    text = f'[sources.PLC]\ntype = "opcua"\nurl = "opc.tcp://127.0.0.1:{port}/bench/"\n{security}\n{more}\n'
    return f"{text}items_per_call = 500\npublishing_interval_s = {interval_s}\n" + tags_of("PLC", _opcua_source.NAMESPACE, tags, devices)


@contextlib.contextmanager
def source_process(port: int, tags: int, rate: float, *, interval_s: float = _opcua_source.INTERVAL_S) -> Iterator[Any]:
    """The fast server with plain tags; yields (rate, sent, behind), multiprocessing values."""
    with shaped_source(port, _opcua_source.Shape(tags, interval_s=interval_s), rate) as found:
        yield found


@contextlib.contextmanager
def shaped_source(port: int, shape: _opcua_source.Shape, rate: float) -> Iterator[Any]:
    """The fast server as a process of its own; yields (rate, sent, behind), multiprocessing values."""
    context = multiprocessing.get_context("spawn")
    wanted, sent, behind = context.Value("d", rate), context.Value("q", 0), context.Value("q", 0)
    process = context.Process(target=_opcua_source.serve, args=(port, shape, wanted, sent, behind), daemon=True)
    process.start()
    try:
        yield wanted, sent, behind
    finally:
        process.kill()
        process.join(5)


class Agent:
    """`gemba-edge run` as a process."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Agent:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(15)

    def start(self) -> None:
        command = [sys.executable, "-m", "edge_agent", "run", "--config", str(self._config)]
        self.process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def cpu_s(self) -> float:
        """User and system seconds of the process so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def pss_mb(self) -> float:
        """As RSS, with shared pages divided by how many share them."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("Pss:"))


def until(done: Callable[[], Any], seconds: float) -> bool:
    """Polls every 2 ms; False when it took longer."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def percentile(values: Any, share: float) -> float:
    return float(np.percentile(np.asarray(values), share * 100)) if len(values) else float("nan")


def metrics_in(raw: bytes, at: int) -> tuple[int, int, int]:
    """Of an encoded Payload whose first metric begins at `at`: (how many metrics, where the last one begins, where they end).

    As far as they are equally long one look tells; then it goes from one to the next. One longer than 127 bytes (a text) ends the count.
    """
    if raw[at] != 0x12 or raw[at + 1] > 127:
        return 0, at, at
    table, step = np.frombuffer(raw, np.uint8), raw[at + 1] + 2
    whole = (len(raw) - at) // step
    same = (table[at : at + whole * step : step] == 0x12) & (table[at + 1 : at + whole * step : step] == step - 2)
    count = whole if bool(same.all()) else int(np.argmin(same))
    last, at = at + (count - 1) * step, at + count * step
    while raw[at] == 0x12 and raw[at + 1] < 128:
        count, last, at = count + 1, at, at + raw[at + 1] + 2
    return count, last, at


def ends_of(raw: bytes) -> tuple[Any, int]:
    """(the Payload, of one record with no more than its first and last metric; how many it has)."""
    from edge_agent.contract.payload import decode

    at = 1
    while raw[at] & 0x80:  # the time's varint
        at += 1
    at += 1
    count, last, end = metrics_in(raw, at)
    if count > 2 and raw[end] == 0x18:
        found = decode(raw[: at + raw[at + 1] + 2] + raw[last:])
        if "x" not in found.uuid:
            return found, count
    whole = decode(raw)
    return whole, len(whole.metrics)


def _make_counting_host() -> Any:
    from edge_agent.contract import names
    from edge_agent.contract.payload import decode
    from tests.support.edge import Host

    class Counting(Host):
        """Counts data metrics and answers, without an object a value. Holes: records out of order. A repeat is not counted, as the server does.

        `ages_ms`: a list to gather ages of live values in (None: not wanted). `live_aliases`: seen live with values newer than `since_ms` (None: not
        wanted, which is much quicker).
        """

        def __init__(self, broker: Any) -> None:
            super().__init__(broker)
            self.counted = 0
            self.records = 0
            self.mark = 0
            self.holes: list[int] = []
            self.watched: set[int] = set()
            self.ages_ms: list[float] | None = None
            self.live_aliases: set[int] = set()
            self.since_ms: int | None = None
            self.epoch = ""
            self.ahead: dict[int, int] = {}  # metrics of records that came in bundles before their turn
            self._answered = 0
            self._end = threading.Event()

        def connect(self) -> None:
            super().connect()
            threading.Thread(target=self._answer, daemon=True).start()

        def disconnect(self) -> None:
            self._end.set()
            super().disconnect()

        def _answer(self) -> None:
            """ "Stored up to" every 20 ms where there is news, as a server answers after each commit."""
            while not self._end.wait(0.02):
                epoch, mark = self.epoch, self.mark
                if mark != self._answered:
                    self._answered = mark
                    self.command(**{names.STORED_EPOCH: epoch, names.STORED_UP_TO: mark})

        @property
        def unanswered(self) -> int:
            """Records that came and were not told of yet."""
            return self.mark - self._answered

        def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
            if "/DBIRTH/" in message.topic:
                self.watched.update(metric.alias for metric in decode(message.payload).metrics if metric.name == names.WATCHED_UNTIL)
            elif "/DDATA/" in message.topic and self.since_ms is None:
                _tally(self, *ends_of(message.payload))
            elif "/DDATA/" in message.topic:
                whole = decode(message.payload)
                _tally(self, whole, len(whole.metrics))

    return Counting


def _tally(host: Any, payload: Any, total: int) -> None:
    """One DDATA of `total` metrics for a counting host."""
    from edge_agent.contract.delivery import Marks

    metrics = payload.metrics
    marks = Marks.parse(payload.uuid, total)
    live = not metrics[0].is_historical
    if live and host.ages_ms is not None:
        host.ages_ms.append(time.time() * 1000 - metrics[0].timestamp)
    if live and host.since_ms is not None and metrics[-1].timestamp >= host.since_ms:
        host.live_aliases.update(metric.alias for metric in metrics if metric.timestamp >= host.since_ms)
    first, same = marks.numbers[0], marks.epoch == host.epoch
    if not same:
        host.mark, host.epoch = first - 1, marks.epoch
        host.ahead.clear()
    if first > host.mark + 1:
        if live:
            return  # beside a backlog: it comes again in its turn
        host.holes.append(first)  # the first record of a message is the next one, or it was lost
        host.mark = first - 1
    end = len(metrics) - total  # of one record there are only its ends
    for n, count in zip(marks.numbers, marks.counts, strict=True):
        end += count
        if n > host.mark:  # what is not is a repeat, as the server would take it
            host.ahead[n] = count - (metrics[end - 1].alias in host.watched)  # it is the last of its record
    while (values := host.ahead.pop(host.mark + 1, None)) is not None:
        host.mark += 1
        host.records += 1
        host.counted += values


def CountingHost(broker: Any) -> Any:  # noqa: N802 - a class made late, so that importing this module stays light
    return _make_counting_host()(broker)
