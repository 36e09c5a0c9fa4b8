"""A disk that is really full (R09) and a buffer at its bound (R14): totals and states go on, samples go first, the alarm comes before,
and with space again everything goes on without a restart, counted exactly."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_agent.buffer import disk
from edge_agent.buffer.store import Buffer
from edge_agent.contract import names
from edge_agent.contract.payload import DataType, get_value
from edge_agent.pipeline.columns import DOUBLE, INT, STRING, Columns
from tests.support.broker import mosquitto
from tests.support.edge import Host, Plc, config_text, machine_source, running
from tests.support.machine import FIRST, METRICS, MORE, Machine
from tests.support.small_disk import small_disk
from tests.support.wait import eventually

HOUR_MS = 3_600_000


class Writer:
    """Commits facts and samples; `good` holds what was acknowledged, `broken` whether the disk refused for good."""

    def __init__(self, buffer: Buffer, samples: int) -> None:
        self.buffer, self.samples = buffer, samples
        self.total = buffer.catalogue.metric("A", names.GOOD_TOTAL, DataType.INT64)
        self.state = buffer.catalogue.metric("A", names.STATE, DataType.STRING)
        self.power = buffer.catalogue.metric("A", "power_w", DataType.DOUBLE)
        self.good: list[int] = []

    def commit(self, t_ms: int) -> bool:
        number = len(self.good) + 1
        rows: list[tuple[int, int, int, object]] = [
            (self.total.alias, t_ms, INT, number),
            (self.state.alias, t_ms, STRING, "idle" if number % 2 else "producing"),
        ]
        samples = Columns.of((self.power.alias, t_ms + k, DOUBLE, float(k)) for k in range(self.samples))
        facts = Columns.of(rows)  # type: ignore[arg-type]
        try:
            stored = self.buffer.commit([("A", facts), ("A", samples)])
        except sqlite3.OperationalError as error:
            assert disk.is_full(error)
            return False
        assert self.total.alias in stored[0].columns.ids, "facts are stored whole"
        self.good.append(number)
        return True

    def check(self, buffer: Buffer) -> None:
        found = [row for s in buffer.read(0, 1_000_000) for row in s.columns.rows()]
        assert [value for alias, _, _, value in found if alias == self.total.alias] == self.good
        assert sum(alias == self.state.alias for alias, *_ in found) == len(self.good)
        assert buffer.damaged_records == 0


def test_a_full_disk_stores_facts_from_the_reserve_and_goes_on_when_there_is_space(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8_000) as small:
        buffer = Buffer(small.folder / "edge.buffer", 10**9, 3_200_000)
        assert buffer.reserve_missing_bytes == 0
        writer = Writer(buffer, samples=200)
        for k in range(50):
            assert writer.commit(k * 1000) and not buffer.lean
        small.fill_up()
        while writer.commit(len(writer.good) * 1000):
            assert len(writer.good) < 100_000
            if not buffer.lean and small.free():
                small.fill_up()
        assert buffer.lean and len(writer.good) > 50 + 1_000, "the reserve of 1 MB and the thinned samples are good for thousands of facts"
        assert not buffer.tend() or buffer.lean
        writer.check(buffer)
        small.make_space()
        assert buffer.tend() and not buffer.lean and buffer.reserve_missing_bytes == 0
        for _ in range(20):
            assert writer.commit(len(writer.good) * 1000)
        writer.check(buffer)
        gap = buffer.catalogue.find("A", names.SAMPLES_GAP)
        assert gap is not None
        assert any(gap.alias in s.columns.ids for s in buffer.read(0, 1_000_000)), "what was left out is said"
        buffer.close()
        again = Buffer(small.folder / "edge.buffer", 10**9, 3_200_000)
        assert again.set_aside is None
        writer.check(again)
        again.close()


def test_a_restart_on_a_full_disk_opens_and_goes_on(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8_000) as small:
        path = small.folder / "edge.buffer"
        writer = Writer(Buffer(path, 10**9, 3_200_000), samples=200)
        for k in range(50):
            assert writer.commit(k * 1000)
        small.fill_up()
        assert writer.commit(60_000)
        for _ in range(3):
            writer.buffer.close()
            writer.buffer = Buffer(path, 10**9, 3_200_000)
            assert writer.buffer.set_aside is None
            assert writer.commit(len(writer.good) * 1000), "closing gave back the space of the WAL, opening took it again"
        writer.check(writer.buffer)
        writer.buffer.close()


@contextlib.contextmanager
def stopping(machine: Machine) -> Iterator[None]:
    try:
        yield
    finally:
        machine.stop()


def word(host: Host, name: str) -> object:
    """The newest value of a node metric, by birth or NDATA."""
    aliases = {metric.alias for _, payload in host.messages for metric in payload.metrics if metric.name == name}
    said = [get_value(m, m.datatype) for _, payload in list(host.messages) for m in payload.metrics if m.name == name or m.alias in aliases]
    return said[-1] if said else None


def test_an_agent_on_a_full_disk_counts_on_raises_the_alarm_and_recovers_by_itself(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 10_000) as small, mosquitto(tmp_path) as broker, Plc() as plc, Host(broker) as host:
        machine = Machine(plc)
        text = config_text(
            broker, machine_source(plc, METRICS, device_more=MORE), more="[delivery]\nheartbeat_s = 1.0\nretry_s = 1.0\nhealth_s = 0.5\n"
        )
        config = small.folder / "edge.toml"
        config.write_text(text.replace('path = "edge.buffer"', 'path = "edge.buffer"\nmax_mb = 100\nreserve_mb = 4'))
        host.answering = False
        with running(config) as agent, stopping(machine):
            buffer = agent.worker.buffer
            eventually(lambda: host.last("SAW-01", "good_total") == FIRST, 15, why="first value")
            small.fill_up(leave=1_500_000)
            eventually(lambda: word(host, names.BUFFER_STATE) == "high", 10, why=f"the disk is 80 % full and cannot hold 100 MB: {small.free()} free")
            machine.start()
            small.fill_up()
            eventually(lambda: buffer.lean, 30, why="full")
            seen = machine.made
            eventually(lambda: host.last("SAW-01", "good_total") > FIRST + seen + 20, 20, why="counts go on on a full disk")
            eventually(lambda: word(host, names.BUFFER_STATE) == "thinning", 10)
            eventually(lambda: "the disk is full" in str(word(host, "Source/PLC/Last Error")), 10)
            small.make_space()
            eventually(lambda: not buffer.lean, 20, why="space again, without a restart")
            eventually(lambda: word(host, names.BUFFER_STATE) != "thinning", 10)
            machine.stop()
            host.answering = True
            eventually(lambda: host.last("SAW-01", "good_total") == FIRST + machine.made, 30, why=f"{machine.made} parts")
            eventually(lambda: buffer.waiting == 0, 20)
        assert sorted(set(host.values("SAW-01", "good_total"))) == list(range(FIRST, FIRST + machine.made + 1)), "every part is a fact of its own"
        assert host.values("SAW-01", "gap") == [] and host.values("SAW-01", "samples_gap")
        assert host.errors == []


@pytest.mark.parametrize("hours", [8, pytest.param(72, marks=pytest.mark.full)])
def test_days_without_a_server_keep_every_total_and_state_and_thin_samples_oldest_first(tmp_path: Path, hours: int) -> None:
    """Two machines and a meter, a small bound; what there is at the end is what the rule says."""
    rng = np.random.default_rng(hours)
    print("seed", hours)
    dice = random.Random(hours)
    buffer = Buffer(tmp_path / "edge.buffer", 4_000_000 * hours // 8)
    catalogue = buffer.catalogue
    truth: dict[str, list[tuple[int, object]]] = {}
    for minute in range(hours * 60):
        t_ms = minute * 60_000
        records = []
        for device in ("SAW-01", "LAT-01", "M-1"):
            facts: list[tuple[int, int, int, object]] = []
            if device == "M-1":
                facts.append((catalogue.metric(device, names.ENERGY_IMPORT_WH, DataType.DOUBLE).alias, t_ms, DOUBLE, float(minute) * 7.5))
            else:
                facts += [
                    (catalogue.metric(device, names.GOOD_TOTAL, DataType.INT64).alias, t_ms + 2000 * k, INT, minute * 30 + k) for k in range(30)
                ]
                if dice.random() < 0.1:
                    state = dice.choice(["idle", "producing", "fault"])
                    facts.append((catalogue.metric(device, names.STATE, DataType.STRING).alias, t_ms + 59_000, STRING, state))
            truth.setdefault(device, []).extend((when, value) for _, when, _, value in facts)
            power = catalogue.metric(device, "power_w", DataType.DOUBLE).alias
            samples = Columns(
                np.full(600, power, np.uint32),
                t_ms + 100 * np.arange(600, dtype=np.int64),
                rng.random(600).view(np.uint64),
                np.full(600, DOUBLE, np.uint8),
            )
            records += [(device, Columns.of(facts)), (device, samples)]  # type: ignore[arg-type]
        buffer.commit(records)
        assert buffer.tend(), f"minute {minute}: the facts alone fit"
    assert buffer.size_bytes() <= buffer.max_bytes
    aliases = {alias: (m.device, m.name) for alias, m in catalogue.by_alias.items()}
    found: dict[str, list[tuple[int, object]]] = {}
    whole_from: dict[str, int] = {}
    gone_to: dict[str, int] = {}
    for stored in buffer.read(0, 10_000_000):
        for alias, t_ms, _, value in stored.columns.rows():
            device, name = aliases[alias]
            if name == "power_w":
                whole_from.setdefault(device, t_ms)
            elif name == names.SAMPLES_GAP:
                gap = json.loads(str(value))
                assert gap["cause"] == "buffer_full" and gap["from_ms"] == gone_to.get(device, 0), "one gap joins the other"
                gone_to[device] = gap["to_ms"] + 99  # the next sample comes 100 ms after the last one
            else:
                found.setdefault(device, []).append((t_ms, value))
    assert found == truth, "no total and no state is ever dropped"
    for device, first in whole_from.items():
        assert first == gone_to[device], f"{device}: the oldest samples went first, all of them up to there are said to be gone"
        assert hours * HOUR_MS - first > 0
    buffer.close()
