"""A new disk in the edge (R17), through the real server: the PLC's total carries on, what nobody saw is a gap with the number of parts in it.
And counters that are reset, downloaded, frozen or misread (R18), from the PLC to the host."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua

from tests.faults.test_server_kill import Process, server
from tests.support.broker import mosquitto
from tests.support.edge import AgentProcess, Host, Plc, config_text, machine_source, running
from tests.support.machine import METRICS, MORE, Machine
from tests.support.wait import eventually

__all__ = ["server"]  # the fixture: a real server process with its own broker
FAST = "[delivery]\nheartbeat_s = 1.0\nretry_s = 1.0\nhealth_s = 0.5\n"


def asked(book: Path, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{book}?mode=ro", uri=True) as db:
        return db.execute(sql).fetchall()


def test_a_new_disk_loses_no_part_and_says_what_was_not_seen(server: Process, tmp_path: Path) -> None:
    book = server.data / "gemba.db"
    server.broker.credentials("EDGE-L1")
    with Plc() as plc:
        machine = Machine(plc, first=1000, bits=32)
        config = tmp_path / "edge.toml"
        metrics = METRICS.replace("width_bits = 16", "width_bits = 32")
        config.write_text(config_text(server.data / "broker" / "users" / "EDGE-L1.json", machine_source(plc, metrics, device_more=MORE), more=FAST))
        agent = AgentProcess(config)
        agent.start()

        def counted() -> int:
            return int(asked(book, "select coalesce(sum(good), 0) from machine_count where machine = 'SAW-01'")[0][0])

        try:
            eventually(lambda: asked(book, "select 1 from machine_state_point where machine = 'SAW-01'"), 40, why="the first state is booked")
            time.sleep(0.5)
            machine.start()
            eventually(lambda: counted() > 50, 30, why="parts are booked")
            agent.kill()
            for old in tmp_path.glob("edge.buffer*"):
                old.unlink()
            seen = machine.made
            eventually(lambda: machine.made > seen + 30, 20)
            agent.start()
            eventually(lambda: asked(book, "select 1 from data_gap where cause = 'new_buffer'"), 40, why="the missing window is reported")
            machine.stop()
            eventually(lambda: counted() == machine.made, 40, why=f"{machine.made} parts made")
        finally:
            machine.stop()
            agent.terminate()
        ((from_ms, to_ms, detail),) = asked(book, "select from_ms, to_ms, detail from data_gap where cause = 'new_buffer' and machine = 'SAW-01'")
        assert to_ms > from_ms
        made = int(detail.partition("says that ")[2].split()[0])
        assert 30 <= made < machine.made, detail
        assert len(asked(book, "select epoch from ingest_mark where n > 0")) == 2
        over = asked(book, f"select sum(good) from machine_count where machine = 'SAW-01' and at_ms > {from_ms} and at_ms <= {to_ms}")
        assert int(over[0][0]) >= made, "the parts of the missing window are booked in it, once"


def test_a_counter_that_is_reset_misread_downloaded_or_rolls_over(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker, Plc() as plc, Host(broker) as host:
        plc.add("SAW-01.State", 6, ua.VariantType.Int32)
        plc.add("SAW-01.Good", 60_000, ua.VariantType.UInt16)
        config = tmp_path / "edge.toml"
        metrics = 'state = { node = "s=State" }\ngood = { node = "s=Good", width_bits = 16 }'
        config.write_text(config_text(broker, machine_source(plc, metrics, device_more="min_cycle_s = 0.05"), more=FAST))

        def show(*values: int) -> None:
            for value in values:
                plc.set("SAW-01.Good", value)
                time.sleep(0.06)  # one publishing interval each: the PLC shows them one after the other

        def total(value: int) -> Callable[[], bool]:
            return lambda: host.last("SAW-01", "good_total") == value

        def words() -> str:
            found = [m.string_value for _, payload in list(host.messages) for m in payload.metrics if m.string_value]
            return " ".join(found)

        with running(config):
            eventually(total(60_000), 15)
            show(60_001, 60_002)
            eventually(total(60_002), 10)
            show(0, 1, 2)  # reset: two more parts
            eventually(total(60_004), 10, why=f"{host.last('SAW-01', 'good_total')}")
            show(60_500)  # misread
            eventually(lambda: "which is not possible" in words(), 10)
            assert host.last("SAW-01", "good_total") == 60_004
            show(4)
            eventually(total(60_006), 10, why="back on its course: the true difference")
            show(30_000, 30_001, 30_002, 30_003, 30_004)  # a program download leaves it somewhere else
            eventually(lambda: (host.last("SAW-01", "good_total") or 0) >= 60_009, 10)
            assert host.last("SAW-01", "good_total") <= 60_010
            eventually(lambda: "meter or program changed?" in words(), 10)
            counted = host.last("SAW-01", "good_total")
            plc.stop()
            time.sleep(0.3)
            plc._wanted["SAW-01.Good"] = (7, ua.VariantType.UInt16)  # restarted, its counter began anew and made 7 parts
            plc.start()
            eventually(lambda: host.values("SAW-01", "gap"), 20)
            eventually(total(counted + 7), 10, why=f"{host.last('SAW-01', 'good_total')} after {counted}")
            gap = json.loads(host.values("SAW-01", "gap")[-1])
            assert gap["cause"] == "source_lost" and gap["counter_reset"] is True and gap["parts_max"] >= 0
        totals = host.values("SAW-01", "good_total")
        assert totals == sorted(totals) and host.errors == []


@pytest.mark.full
def test_a_counter_rolls_over_while_the_edge_is_away(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker, Plc() as plc, Host(broker) as host:
        plc.add("SAW-01.State", 6, ua.VariantType.Int32)
        plc.add("SAW-01.Good", 65_530, ua.VariantType.UInt16)
        config = tmp_path / "edge.toml"
        metrics = 'state = { node = "s=State" }\ngood = { node = "s=Good", width_bits = 16, decrease = "rollover" }'
        config.write_text(config_text(broker, machine_source(plc, metrics, device_more="min_cycle_s = 0.05"), more=FAST))
        with running(config):
            eventually(lambda: host.last("SAW-01", "good_total") == 65_530, 15)
        plc.set("SAW-01.Good", 4)
        with running(config):
            eventually(lambda: host.last("SAW-01", "good_total") == 65_540, 15, why=f"{host.last('SAW-01', 'good_total')}")
