"""The mqtt source on a real broker: JSON meters, last wills, silence, retained messages, and another Sparkplug node with its past."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent import config_text
from edge_agent.__main__ import main
from tests.support.broker import Broker, mosquitto
from tests.support.edge import Host, running
from tests.support.edge import config_text as agent_text
from tests.support.mqtt_devices import Gadget, Peer, now_ms, open_broker
from tests.support.wait import eventually

HEAD = '[sources.SRC]\ntype = "mqtt"\nport = {port}\ntimeout_s = {timeout_s}\nbackoff_max_s = 0.5\n{more}\n'
METER = """[sources.SRC.devices.D-1]
kind = "meter"
topic = "tele/oven/SENSOR"
{device}
[sources.SRC.devices.D-1.metrics]
energy_import_wh = {{ path = "ENERGY.Total", scale = 1000 }}
power_w = {{ path = "ENERGY.Power" }}
"""
TOPIC = "tele/oven/SENSOR"


def sensor(total: float, power: Any, **more: Any) -> dict[str, Any]:
    return {"ENERGY": {"Total": total, "Power": power}} | more


def config(broker: Broker, devices: str, more: str = "", timeout_s: float = 5.0) -> str:
    return HEAD.format(port=broker.port, more=more, timeout_s=timeout_s) + devices


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with open_broker(tmp_path) as made:
        yield made


@pytest.fixture
def gadget(broker: Broker) -> Iterator[Gadget]:
    with Gadget(broker) as made:
        yield made


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with mosquitto(tmp_path) as delivery, Host(delivery) as made:
        yield made


def write(tmp_path: Path, host: Host, text: str) -> Path:
    (tmp_path / "edge.toml").write_text(agent_text(host.broker, text, more="[delivery]\nheartbeat_s = 0.5\n"))
    return tmp_path / "edge.toml"


def again(say: Any, probe: Any, seconds: float = 15.0) -> None:
    """Says it again and again until it is heard: the agent subscribes when it is ready."""

    def tried() -> bool:
        say()
        return bool(probe())

    eventually(tried, seconds, every=0.1)


# --- JSON --------------------------------------------------------------------------------------------------------------------------
def test_values_loss_of_the_broker_and_return(tmp_path: Path, broker: Broker, gadget: Gadget, host: Host) -> None:
    with running(write(tmp_path, host, config(broker, METER.format(device="report_s = 0")))) as agent:
        again(lambda: gadget.say(TOPIC, sensor(12.5, "100.5")), lambda: host.last("D-1", "energy_import_wh") == 12_500.0)
        assert host.last("D-1", "power_w") == 100.5
        broker.kill()
        health = agent.sources[0].health
        eventually(lambda: health.status == "lost" and "cannot be reached" in health.error and "无法连接" in health.error_zh, 10)
        broker.start()
        eventually(lambda: health.status == "connected", 15)
        eventually(gadget.client.is_connected, 15)
        again(lambda: gadget.say(TOPIC, sensor(12.6, 90)), lambda: host.last("D-1", "energy_import_wh") == 12_600.0)
        assert json.loads(eventually(lambda: host.last("D-1", "gap"), 10))["cause"] == "source_lost"
        assert len(host.values("D-1", "gap")) == 1


def test_a_retained_message_is_not_a_value_of_now(tmp_path: Path, broker: Broker, gadget: Gadget, host: Host) -> None:
    gadget.say(TOPIC, sensor(99.0, 99), retain=True)
    with running(write(tmp_path, host, config(broker, METER.format(device="")))) as agent:
        eventually(lambda: agent.sources[0].health.status == "connected", 15)
        again(lambda: gadget.say(TOPIC, sensor(1.0, 1)), lambda: host.last("D-1", "energy_import_wh") == 1000.0)
        assert 99.0 not in host.values("D-1", "power_w")
        assert set(host.values("D-1", "energy_import_wh")) == {1000.0}


def test_silence_is_a_loss_of_that_device_alone(tmp_path: Path, broker: Broker, gadget: Gadget, host: Host) -> None:
    other = '[sources.SRC.devices.D-2]\ntopic = "b"\nmax_silence_s = 600\n[sources.SRC.devices.D-2.metrics]\nlevel_mm = {}\n'
    with running(write(tmp_path, host, config(broker, METER.format(device="max_silence_s = 1\nreport_s = 0") + other))) as agent:
        again(lambda: (gadget.say(TOPIC, sensor(1.0, 1)), gadget.say("b", "17.5")), lambda: host.last("D-2", "level_mm") == 17.5)
        health = agent.sources[0].health
        eventually(lambda: "D-1" in health.notes, 10)
        assert "no fresh message of tele/oven/SENSOR for 1 s" in health.words() and "1 秒没有新消息" in health.words()
        again(lambda: gadget.say(TOPIC, sensor(1.1, 1)), lambda: host.last("D-1", "gap"))
        gap = json.loads(host.last("D-1", "gap"))
        assert gap["cause"] == "source_lost" and gap["to_ms"] - gap["from_ms"] >= 1000
        assert host.facts("D-2", "gap") == [] and "D-2" not in health.notes


def test_a_last_will_is_a_loss_at_once(tmp_path: Path, broker: Broker, gadget: Gadget, host: Host) -> None:
    device = 'topic_prefix = "zig/"\nalive_topic = "availability"\nreport_s = 0'
    text = config(broker, METER.format(device=device).replace('topic = "tele', 'topic = "x"\n# "'))
    with running(write(tmp_path, host, text)) as agent:
        again(lambda: gadget.say("zig/x", sensor(1.0, 1)), lambda: host.last("D-1", "energy_import_wh") == 1000.0)
        gadget.say("zig/availability", {"state": "offline"})
        eventually(lambda: "offline" in agent.sources[0].health.words() and "离线" in agent.sources[0].health.words(), 10)
        again(lambda: gadget.say("zig/x", sensor(1.2, 1)), lambda: host.last("D-1", "gap") and host.last("D-1", "energy_import_wh") == 1200.0)


def test_the_messages_own_time_and_what_is_missing(tmp_path: Path, broker: Broker, gadget: Gadget, host: Host) -> None:
    """Its time counts when it can be used; a wrong one, and a value that is not there, are said in words."""
    t_ms = now_ms() // 1000 * 1000 - 5000
    with running(write(tmp_path, host, config(broker, METER.format(device='time = "t"')))) as agent:
        again(lambda: gadget.say(TOPIC, sensor(1.0, 1, t=t_ms // 1000)), lambda: host.facts("D-1", "energy_import_wh"))
        assert host.facts("D-1", "energy_import_wh")[0].t_ms == t_ms
        failed = agent.sources[0].health.failed
        again(lambda: gadget.say(TOPIC, {"t": "2020-01-01T00:00:00Z", "ENERGY": {"Total": 2.0}}), lambda: len(failed) == 2)
        words = " ".join(f"{where}: {why}" for where, why in failed.items())
        assert "no Power" in words and "its clock is off by" in words
        again(lambda: gadget.say(TOPIC, sensor(2.1, 3, t=now_ms())), lambda: not failed and host.last("D-1", "power_w") == 3.0)


def test_a_value_with_an_older_time_is_told_although_its_device_then_says_nothing_more(
    tmp_path: Path, broker: Broker, gadget: Gadget, host: Host
) -> None:
    """Late, with the stamp of the message before, and as the last word before the farewell: none waits for a message that may never come."""
    t_ms = now_ms() - 5000
    device = METER.format(device='time = "t"\nalive_topic = "there"\nmax_silence_s = 3600')
    with running(write(tmp_path, host, config(broker, device))) as agent:
        again(lambda: gadget.say(TOPIC, sensor(1.0, 1, t=t_ms)), lambda: host.facts("D-1", "energy_import_wh"))
        gadget.say(TOPIC, sensor(1.1, 2, t=t_ms - 2000))
        eventually(lambda: (host.last("D-1", "energy_import_wh"), host.last("D-1", "power_w")) == (1100.0, 2.0), 60, why="what came late")
        gadget.say(TOPIC, sensor(1.2, 3, t=t_ms))
        eventually(lambda: (host.last("D-1", "energy_import_wh"), host.last("D-1", "power_w")) == (1200.0, 3.0), 60, why="the same stamp again")
        gadget.say(TOPIC, sensor(1.3, 4, t=t_ms - 1000))
        gadget.say("there", "offline")
        eventually(lambda: (host.last("D-1", "energy_import_wh"), host.last("D-1", "power_w")) == (1300.0, 4.0), 60, why="its last word")
        assert {fact.t_ms for fact in host.facts("D-1", "power_w")} == {t_ms, t_ms + 1}
        eventually(lambda: "D-1" in agent.sources[0].health.notes, 60)
        assert host.facts("D-1", "gap") == []


def test_what_waits_when_the_agent_ends_is_told_after_its_start(tmp_path: Path, broker: Broker, gadget: Gadget, host: Host) -> None:
    t_ms = now_ms() - 5000
    path = write(tmp_path, host, config(broker, METER.format(device='time = "t"'), "settle_s = 60"))
    with running(path) as agent:
        again(lambda: gadget.say(TOPIC, sensor(1.0, 1, t=t_ms)), lambda: host.last("D-1", "energy_import_wh") == 1000.0)
        gadget.say(TOPIC, sensor(1.1, 2, t=t_ms - 2000))
        eventually(lambda: any(reading.value == 1.1 for reading in list(agent.worker.pipeline.devices[0].pending)), 60)
    with running(path):
        eventually(lambda: host.last("D-1", "energy_import_wh") == 1100.0, 60)


def test_nonsense_messages_harm_nobody(tmp_path: Path, broker: Broker, gadget: Gadget, host: Host) -> None:
    with running(write(tmp_path, host, config(broker, METER.format(device="")))) as agent:
        again(lambda: gadget.say(TOPIC, sensor(1.0, 1)), lambda: host.last("D-1", "power_w") == 1.0)
        for bad in (b"", b"\xff\xfe\x00", b"{", b"[" * 50_000, b'{"ENERGY":5}', b'{"ENERGY":{"Total":"x","Power":{}}}', b"9" * 5000):
            gadget.say(TOPIC, bad)
        again(lambda: gadget.say(TOPIC, sensor(1.5, 2)), lambda: host.last("D-1", "power_w") == 2.0)
        assert agent.sources[0].health.status == "connected" and not agent.sources[0].health.failed


def test_a_machine_by_mqtt(tmp_path: Path, broker: Broker, gadget: Gadget, host: Host) -> None:
    device = """[sources.SRC.devices.D-1]
kind = "machine"
topic = "m"
[sources.SRC.devices.D-1.metrics]
state = { path = "run", states = { "1" = "producing", "0" = "idle" } }
order = { path = "job" }
good = { path = "count" }
"""
    with running(write(tmp_path, host, config(broker, device))):
        again(lambda: gadget.say("m", {"run": True, "job": "0042", "count": 5}), lambda: host.last("D-1", "state") == "producing")
        assert (host.last("D-1", "order"), host.last("D-1", "good_total")) == ("0042", 5)
        stopped = {"run": False, "job": "0042", "count": 6}
        again(lambda: gadget.say("m", stopped), lambda: (host.last("D-1", "state"), host.last("D-1", "good_total")) == ("idle", 6))


def command(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[list[str]]]:
    (tmp_path / "edge.toml").write_text(f'group = "PUMP"\nedge = "E"\n{text}')
    code = main([*words, "--config", str(tmp_path / "edge.toml")])
    return code, [line.split("\t") for line in capsys.readouterr().out.splitlines()]


class Talking:
    """Says something every 50 ms until the block ends."""

    def __init__(self, say: Any) -> None:
        self._say, self._end = say, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._end.wait(0.05):
            self._say()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join(10)


def test_read_once_waits_for_fresh_values(tmp_path: Path, broker: Broker, gadget: Gadget, capsys: pytest.CaptureFixture[str]) -> None:
    gadget.say(TOPIC, sensor(99.0, 99), retain=True)
    code, rows = command(tmp_path, config(broker, METER.format(device=""), timeout_s=0.5), capsys, "read-once")
    assert code == 1 and all("no fresh message" in row[3] and "retained" in row[3] and "保留消息" in row[3] for row in rows)
    with Talking(lambda: gadget.say(TOPIC, sensor(12.5, 100))):
        code, rows = command(tmp_path, config(broker, METER.format(device=""), timeout_s=10), capsys, "read-once")
    assert (code, [row[3] for row in rows]) == (0, ["12.5", "100.0"])
    broker.stop()
    code, rows = command(tmp_path, config(broker, METER.format(device="")), capsys, "read-once")
    assert code == 1 and "Check address" in rows[0][0]


def test_browse_lists_topics_and_paths_with_examples(tmp_path: Path, broker: Broker, gadget: Gadget, capsys: pytest.CaptureFixture[str]) -> None:
    gadget.say("old/one", "17", retain=True)
    with Peer(broker, "PLANT", "LINE", {"MILL": {"Energy": 5.0}}), Talking(lambda: gadget.say(TOPIC, sensor(12.5, [1, True]))):
        code, rows = command(tmp_path, config(broker, METER.format(device=""), "browse_s = 1.5"), capsys, "browse", "--source", "SRC")
    assert code == 0
    assert [f"{TOPIC} ENERGY.Total", f'topic = "{TOPIC}", path = "ENERGY.Total"', "number", "12.5"] in rows
    assert [f"{TOPIC} ENERGY.Power[1]", f'topic = "{TOPIC}", path = "ENERGY.Power[1]"', "bool", "True"] in rows
    assert ["old/one  (retained)", 'topic = "old/one"', "number", "17"] in rows


@pytest.mark.parametrize(
    ("device", "where", "en", "zh"),
    [
        ("metrics = { x_w = {} }", "", "say where its values come from", "二选一"),
        ('topic = "a/+/b"\nmetrics = { x_w = {} }', "", "no + and #", "不能有"),
        ('topic = "a"\nsparkplug = "G/E/D"\nmetrics = { x_w = {} }', "", "one of the two", "二选一"),
        ('topic = "a"\nmetrics = { x_w = { path = "a[" } }', ".metrics.x_w.path", "not understood", "路径"),
        ('topic = "a"\ntime_zone = "Mars"\nmetrics = { x_w = {} }', ".time_zone", "no time zone", "时区"),
        ('sparkplug = "G"\nmetrics = { x_w = {} }', ".sparkplug", "wrong form", "格式"),
    ],
)
def test_what_is_wrong_with_a_device(tmp_path: Path, device: str, where: str, en: str, zh: str) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(f'group = "P"\nedge = "E"\n[sources.S]\ntype = "mqtt"\n[sources.S.devices.M-1]\n{device}\n')
    _, problems = config_text.check(path)
    assert [p.where for p in problems] == [f"sources.S.devices.M-1{where}"]
    assert en in problems[0].en and zh in problems[0].zh and problems[0].line >= 5


# --- Sparkplug ---------------------------------------------------------------------------------------------------------------------
NODE = """[sources.SRC.devices.D-1]
kind = "meter"
sparkplug = "PLANT/LINE/MILL"
report_s = 0
[sources.SRC.devices.D-1.metrics]
energy_import_wh = { name = "Energy" }
temp_c = { name = "Temp" }
"""


def test_a_foreign_node_lives_dies_and_tells_its_past(tmp_path: Path, broker: Broker, host: Host) -> None:
    """Birth on request, data by alias, NDEATH = lost; after its return the values of the past come in their order and shorten the gap."""
    with (
        Peer(broker, "PLANT", "LINE", {"MILL": {"Energy": 100.0, "Temp": 20.0}}) as peer,
        running(write(tmp_path, host, config(broker, NODE, "history_s = 1.0"))) as agent,
    ):
        eventually(lambda: host.last("D-1", "energy_import_wh") == 100.0 and host.last("D-1", "temp_c") == 20.0, 15)
        assert peer.births >= 2, "it was asked for its birth"
        peer.put("MILL", Energy=101.0)
        eventually(lambda: host.last("D-1", "energy_import_wh") == 101.0, 10)

        peer.kill()
        eventually(lambda: "died" in agent.sources[0].health.words() and "离线" in agent.sources[0].health.words(), 10)
        past_ms = now_ms()
        peer.devices["MILL"] |= {"Energy": 104.0}
        peer.connect()
        peer.put("MILL", past_ms + 1, historical=True, Energy=103.0)
        peer.put("MILL", past_ms, historical=True, Energy=102.0)
        eventually(lambda: host.last("D-1", "energy_import_wh") == 104.0, 15)
        facts = [(fact.value, fact.t_ms) for fact in host.facts("D-1", "energy_import_wh")]
        assert [value for value, _ in facts[-3:]] == [102.0, 103.0, 104.0], (past_ms, facts)
        assert [t_ms for _, t_ms in facts[-3:-1]] == [past_ms, past_ms + 1]
        gap = json.loads(eventually(lambda: host.last("D-1", "gap"), 10))
        assert gap["cause"] == "source_lost" and gap["to_ms"] <= past_ms + 1
        assert len(host.values("D-1", "gap")) == 1 and host.errors == []


def test_a_nodes_stamp_from_a_future_that_cannot_be_ends_nothing(tmp_path: Path, broker: Broker, host: Host) -> None:
    with (
        Peer(broker, "PLANT", "LINE", {"MILL": {"Energy": 100.0, "Temp": 20.0}}) as peer,
        running(write(tmp_path, host, config(broker, NODE, "history_s = 0"))) as agent,
    ):
        eventually(lambda: host.last("D-1", "temp_c") == 20.0, 60)
        peer.put("MILL", 4_102_444_800_000, Temp=21.0)
        eventually(lambda: host.last("D-1", "temp_c") == 21.0, 60)
        assert "its clock is off by" in agent.sources[0].health.words()
        peer.put("MILL", Temp=22.0)
        eventually(lambda: host.last("D-1", "temp_c") == 22.0 and not agent.sources[0].health.failed, 60)
        peer.put("MILL", now_ms() - 60_000, Energy=101.0)
        eventually(lambda: host.last("D-1", "energy_import_wh") == 101.0, 60, why="a stamp of a minute ago")
        assert max(fact.t_ms for fact in host.facts("D-1", "temp_c")) <= now_ms()


def test_a_device_death_and_a_missing_message(tmp_path: Path, broker: Broker, host: Host) -> None:
    peer = Peer(broker, "PLANT", "LINE", {"MILL": {"Energy": 100.0, "Temp": 20.0}, "PRESS": {"Temp": 5}})
    two = NODE + '[sources.SRC.devices.D-2]\nsparkplug = "PLANT/LINE/PRESS"\n[sources.SRC.devices.D-2.metrics]\ntemp_c = { name = "Temp" }\n'
    with peer, running(write(tmp_path, host, config(broker, two, "history_s = 0"))) as agent:
        eventually(lambda: host.last("D-1", "energy_import_wh") == 100.0 and host.last("D-2", "temp_c") == 5.0, 15)
        peer.device_death("MILL")
        health = agent.sources[0].health
        eventually(lambda: "D-1" in health.notes and "D-2" not in health.notes, 10)
        peer.put("PRESS", Temp=-6)
        eventually(lambda: host.last("D-2", "temp_c") == -6.0, 10)
        births = peer.births
        peer.seq = (peer.seq + 5) % 256
        peer.put("PRESS", Temp=7)
        eventually(lambda: peer.births > births, 15, why="a rebirth is asked for")
        eventually(lambda: host.last("D-1", "gap") and host.facts("D-2", "gap") == [], 10)


def test_our_own_edge_is_a_source_too(tmp_path: Path, broker: Broker, host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """read-once of a node asks for its birth; what the birth does not have is said."""
    with Peer(broker, "PLANT", "LINE", {"MILL": {"Energy": 100.0}}):
        code, rows = command(tmp_path, config(broker, NODE, timeout_s=2), capsys, "read-once")
    assert code == 1
    assert rows[0][1:4] == ["energy_import_wh", "PLANT/LINE/MILL Energy", "100.0"]
    assert "no fresh message" in rows[1][3]
