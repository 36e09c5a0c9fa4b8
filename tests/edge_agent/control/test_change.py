"""Another config for the same agent: what changes, what keeps its numbers, what it would cost. Pure."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge_agent import config_text
from edge_agent.config import AgentConfig
from edge_agent.control import plan
from edge_agent.control.change import difference
from edge_agent.control.socket import ControlServer, NotRunning, ask, socket_path
from edge_agent.control.status import render
from edge_agent.pipeline.catalogue import Catalogue
from edge_agent.pipeline.columns import DOUBLE, Columns
from edge_agent.pipeline.pipeline import Pipeline
from edge_agent.pipeline.tags import compile_tags, evolve
from edge_agent.sources.registry import resolve_devices

HEAD = 'group = "P"\nedge = "E"\n'
PLC = """[sources.PLC]
type = "opcua"
url = "opc.tcp://127.0.0.1:4840"
security = "none"
[sources.PLC.devices.A]
namespace = "urn:x"
[sources.PLC.devices.A.metrics]
good = { node = "s=G", width_bits = 16 }
temp_c = { node = "s=T" }
"""
SECOND = '[sources.PLC.devices.B]\nnamespace = "urn:x"\n[sources.PLC.devices.B.metrics]\ntemp_c = { node = "s=T2" }\n'
METERS = '[sources.M]\ntype = "modbus"\nperiod_s = 10\n[sources.M.devices.M-1]\nkind = "meter"\nmodel = "eastron_sdm630"\n'


def config(folder: Path, text: str) -> AgentConfig:
    path = folder / "edge.toml"
    path.write_text(HEAD + text)
    return config_text.load(path)


def test_a_device_more_on_one_source_leaves_the_other_source_alone(tmp_path: Path) -> None:
    change = difference(config(tmp_path, PLC + METERS), config(tmp_path, PLC + SECOND + METERS))
    assert (change.sources_changed, change.devices_added, change.devices_interrupted, change.devices_untouched) == (
        ("PLC",),
        ("B",),
        ("A",),
        ("M-1",),
    )
    assert not change.all_born_anew and not change.nothing and not change.needs_restart


def test_a_source_more_makes_everything_be_born_anew_and_nothing_changes_says_so(tmp_path: Path) -> None:
    old = config(tmp_path, PLC)
    change = difference(old, config(tmp_path, PLC + METERS))
    assert (change.sources_added, change.devices_added, change.devices_untouched, change.all_born_anew) == (("M",), ("M-1",), ("A",), True)
    assert difference(old, config(tmp_path, PLC)).nothing
    assert plan.render_change(difference(old, old), "en") == "nothing changes"
    assert "born anew" in plan.render_change(change, "en") and "重新出生" in plan.render_change(change, "zh")


@pytest.mark.parametrize("text", ["[[brokers]]\nport = 1884\n", "[buffer]\nmax_mb = 100\n", "[delivery]\nretry_s = 9.0\n"])
def test_what_the_agent_is_needs_a_restart(tmp_path: Path, text: str) -> None:
    assert difference(config(tmp_path, PLC), config(tmp_path, text + PLC)).needs_restart


def test_numbers_of_what_stays_stay_and_a_device_that_returns_gets_its_index_back(tmp_path: Path) -> None:
    one, both, none_of_a = (resolve_devices(config(tmp_path, text)) for text in (PLC, PLC + SECOND, PLC.replace("devices.A", "devices.C")))
    first = compile_tags(one)
    added = evolve(first, one, both)
    assert added.plan.tags[: len(first.tags)] == first.tags and added.plan.devices[0] == first.devices[0]
    assert (added.made, added.retired) == ((1,), ())
    gone = evolve(added.plan, both, none_of_a)
    assert set(gone.retired) == {0, 1} and gone.made == (2,)
    assert all(not gone.plan.devices[index].tags for index in gone.retired)
    back = evolve(gone.plan, none_of_a, one)
    assert back.made == (0,) and back.plan.devices[0].id == "A" and not back.plan.devices[0].retired
    assert back.plan.by_key()["A", "good"].number >= len(first.tags), "new numbers: a late value of the old ones is not taken for them"
    assert [tag.number for tag in back.plan.tags] == list(range(len(back.plan.tags)))


def test_totals_carry_on_and_what_waited_is_not_lost_when_a_device_changes(tmp_path: Path) -> None:
    before = resolve_devices(config(tmp_path, PLC))
    after = resolve_devices(config(tmp_path, PLC.replace('"s=T"', '"s=T", scale = 2.0')))
    pipeline = Pipeline(compile_tags(before), Catalogue(), {})
    good, temp = (pipeline.plan.by_key()["A", key].number for key in ("good", "temp_c"))
    pipeline.push(Columns.of([(good, 1000, 5, 7), (temp, 1500, DOUBLE, 20.0)]))
    records = pipeline.evolve(evolve(pipeline.plan, before, after))
    assert [row[1] for record in records for row in record.columns.rows()] == [1000, 1000, 1500]
    good = pipeline.plan.by_key()["A", "good"].number
    pipeline.push(Columns.of([(good, 2000, 5, 9)]))
    pipeline.advance([0], 3000)
    totals = [row[3] for record in pipeline.drain() for row in record.columns.rows()]
    assert totals == [9, 9]
    assert pipeline.devices[0].memory.counters["good"].total == 9


def test_the_plan_says_rates_bus_and_hours(tmp_path: Path) -> None:
    found = plan.plan_of(config(tmp_path, PLC + METERS))
    plc, meters = found.sources
    assert (plc.values, plc.polled, plc.bus) == (2, False, None)
    assert meters.polled and meters.bus is not None and meters.values_per_s == pytest.approx(meters.values / 10)
    assert 0 < meters.bus.requests_per_s < meters.values_per_s and 0 < meters.bus.busy < 0.1
    assert found.buffer_hours == pytest.approx(2000e6 / found.buffer_bytes_per_s / 3600)
    faster = plan.plan_of(config(tmp_path, PLC + METERS.replace("period_s = 10", "period_s = 0.04")))
    assert faster.sources[1].bus is not None and faster.sources[1].bus.busy > 0.8
    assert "overloaded" in plan.render(faster, "en") and "过载" in plan.render(faster, "zh")
    slow = METERS.replace("period_s = 10", 'period_s = 1\ntransport = "serial"\nserial = "/dev/ttyUSB0"\nbaud_rate = 1200')
    serial = plan.plan_of(config(tmp_path, PLC + slow)).sources[1].bus
    assert serial is not None and serial.busy > 1.0, "14 values every second do not go through 1,200 Bd"
    measured = plan.plan_of(config(tmp_path, PLC), {"PLC": 123.4})
    assert measured.values_per_s == 123.4 and "measured" in plan.render(measured, "en") and "实测" in plan.render(measured, "zh")


def snapshot(at_s: float, values: int) -> dict[str, Any]:
    device = {"device": "A", "lag_s": 0.4, "gap": None}
    lost = {"device": "B", "lag_s": 9.0, "gap": {"from_ms": 1_767_225_600_000, "cause": "source_lost"}}
    source = {
        "name": "PLC",
        "type": "opcua",
        "status": "lost",
        "values": values,
        "rate": 100.0,
        "words": "It is away. Look.\n离线。请检查。",
        "clock_offset_ms": 12.0,
    }
    return {
        "group": "P",
        "edge": "E",
        "pid": 7,
        "at_s": at_s,
        "uptime_s": 7200.0,
        "rss_bytes": 60_000_000,
        "delivery": {"phase": "born", "broker": "b:1883", "error": "", "records": values, "waiting": 3, "values": values},
        "buffer": {"bytes": 1_000_000, "max_bytes": 2_000_000_000, "hours_left": 39.4, "disk_full": False, "full": False},
        "sources": [{**source, "devices": [device, lost]}],
    }


def test_status_in_words_says_rate_lag_gap_next_step_and_hours_left() -> None:
    now = snapshot(12.0, 1200)
    text = render(now, "en")
    for words in ("100.0/s", "room for 39 h", "0.4 s behind", "no data since 2026-01-01", "source_lost", "It is away. Look.", "LOST"):
        assert words in text, text
    assert "离线。请检查。" in render(now, "zh") and "断开" in render(now, "zh")
    now["sources"][0]["rate"] = now["buffer"]["hours_left"] = None
    assert "—/s" in render(now, "en") and "room for — without" in render(now, "en"), "unknown is not 0"


def test_the_socket_of_a_deep_folder_is_reached(tmp_path: Path) -> None:
    """A Unix socket's name has room for 107 bytes."""
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    found = config(tmp_path, f'[buffer]\npath = "{deep}/edge.buffer"\n' + PLC)

    async def handler(request: dict[str, Any], say: Any) -> dict[str, Any]:
        return {"heard": request["ask"]}

    async def talk() -> dict[str, Any]:
        server = ControlServer(socket_path(found), handler)
        await server.start()
        try:
            return await asyncio.to_thread(lambda: next(ask(found, {"ask": "status"})))
        finally:
            await server.stop()

    assert asyncio.run(talk()) == {"heard": "status", "done": True}
    assert not socket_path(found).exists()
    with pytest.raises(NotRunning):
        next(ask(found, {"ask": "status"}))
