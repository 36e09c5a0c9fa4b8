"""What names, types, units and behaviour say: golden cases in the habits of Siemens, Beckhoff, Rockwell, Kepware and our own PLCs."""

from __future__ import annotations

import pytest

from edge_agent.sources.opcua.guess import MAYBE, SURE, Guess, Seen, guess, state_of, tokens

UP = tuple(range(1200, 1215))  # a counter that made 14 parts
STATES = (6, 6, 4, 4, 6, 6, 5, 6)
WAVE = tuple(40.0 + (n * 7 % 11) / 3 for n in range(30))
STILL_INT, STILL_REAL, STILL_TEXT = (7, 7, 7), (12.5, 12.5), ("WO-10023", "WO-10023")
JUMPY = tuple((n * 7919) % 65_536 for n in range(30))

# name, parents, type, samples, unit -> meaning, at least as sure as
GOLDEN: list[tuple[str, tuple[str, ...], str, tuple[object, ...], str, str, float]] = [
    # our own simulated PLCs
    ("StateCurrent", ("SAW-01",), "Int32", STATES, "", "state", SURE),
    ("StateCurrent", ("SAW-01",), "Int32", STILL_INT, "", "state", SURE),
    ("AlarmCode", ("SAW-01",), "String", ("", ""), "", "alarm", SURE),
    ("GoodCount", ("SAW-01",), "UInt32", UP, "", "good", SURE),
    ("GoodCount", ("SAW-01",), "UInt32", STILL_INT, "", "good", SURE),
    ("ScrapCount", ("SAW-01",), "UInt32", STILL_INT, "", "scrap", SURE),
    ("OrderId", ("SAW-01",), "String", STILL_TEXT, "", "order", SURE),
    ("OperationId", ("SAW-01",), "String", ("30", "30"), "", "operation", SURE),
    ("CycleTime", ("SAW-01",), "Double", WAVE, "", "cycle_s", SURE),
    # Siemens, German
    ('"DB_Maschine"."Gutteile"', ("PLC_1", "DataBlocksGlobal", "DB_Maschine"), "Int32", UP, "", "good", SURE),
    ("iGutTeileZaehler", ("DB100",), "Int32", UP, "", "good", SURE),
    ("diStueckzahl", ("DB_Produktion",), "Int32", UP, "", "good", SURE),
    ("Ausschuss", ("DB_Produktion",), "Int32", STILL_INT, "", "scrap", SURE),
    ("NIO_Teile", ("DB_Produktion",), "Int32", STILL_INT, "", "scrap", SURE),
    ("Betriebszustand", ("DB_Maschine",), "Int16", STATES, "", "state", SURE),
    ("Störung_Nr", ("DB_Maschine",), "Int16", (0, 0), "", "alarm", SURE),
    ("Auftragsnummer", ("DB_Auftrag",), "String", STILL_TEXT, "", "order", SURE),
    ("Arbeitsgang", ("DB_Auftrag",), "String", ("20", "20"), "", "operation", SURE),
    ("Zykluszeit_ms", ("DB_Maschine",), "UInt32", (35_210, 35_180, 35_330), "ms", "cycle_s", SURE),
    ("Wirkleistung", ("DB_Energie",), "Float", WAVE, "kW", "power", SURE),
    ("Wirkenergie_Bezug", ("DB_Energie",), "Double", (100.1, 100.2, 100.4, 100.5), "kWh", "energy", SURE),
    ("Öltemperatur", ("DB_Hydraulik",), "Float", WAVE, "°C", "temperature", SURE),
    ("rDrehzahlSpindel", ("DB_Spindel",), "Float", WAVE, "", "speed", SURE),
    # Beckhoff, English
    ("nPartsGood", ("GVL_OEE",), "UInt32", UP, "", "good", SURE),
    ("nPartsReject", ("GVL_OEE",), "UInt32", (3, 3, 4, 4), "", "scrap", SURE),
    ("eMachineState", ("GVL_OEE",), "Int16", STATES, "", "state", SURE),
    ("sWorkOrder", ("GVL_OEE",), "String", STILL_TEXT, "", "order", SURE),
    ("fActivePower", ("GVL_Energy",), "Double", WAVE, "", "power", SURE),
    # Rockwell and Kepware
    ("Line1_Press_ShotCount", ("Channel1", "Device1"), "UInt32", UP, "", "good", SURE),
    ("Line1_Press_RejectCount", ("Channel1", "Device1"), "UInt32", STILL_INT, "", "scrap", SURE),
    ("FaultCode", ("Channel1", "Press01"), "UInt16", (0, 0), "", "alarm", SURE),
    ("Total_Energy_kWh", ("Channel1", "Meter"), "Float", (10.0, 10.5, 11.0), "", "energy", SURE),
    ("Prod_Count", ("Channel1", "Press01"), "Int32", UP, "", "good", SURE),
    # Chinese
    ("设备状态", ("一号机床",), "Int16", STATES, "", "state", SURE),
    ("良品数量", ("一号机床",), "Int32", UP, "", "good", SURE),
    ("不良品数", ("一号机床",), "Int32", STILL_INT, "", "scrap", SURE),
    ("当前工单号", ("一号机床",), "String", STILL_TEXT, "", "order", SURE),
    ("报警代码", ("一号机床",), "Int16", (0, 0), "", "alarm", SURE),
    ("有功功率", ("电表",), "Float", WAVE, "kW", "power", SURE),
    ("累计电量", ("电表",), "Float", (5.0, 5.1, 5.2), "kWh", "energy", SURE),
    ("主轴转速", ("一号机床",), "Float", WAVE, "", "speed", SURE),
    ("节拍时间", ("一号机床",), "Float", (30.1, 30.4), "", "cycle_s", SURE),
    # a state as a text; an enumeration is below
    ("MachineStatus", ("CNC",), "String", ("Running", "Idle", "Running"), "", "state", SURE),
    # Arburg: the name says nothing, only where it stands and how it behaves: a question, not an answer
    ("f077", ("ProductionControl",), "Int32", UP, "", "good", MAYBE),
    # samples of OPC servers: none of it is a machine's
    ("SlowUInt1", ("Slow",), "UInt32", (5, 6, 7, 8), "", "sample", 0.3),
    ("Random", ("Simulation",), "Double", WAVE, "", "sample", 0.3),
    ("Sinusoid1", ("Simulation",), "Double", WAVE, "", "sample", 0.3),
    # it only looks like one
    ("Heartbeat", ("PLC",), "UInt16", (1, 2, 3, 4, 5), "", "sample", 0.3),
    ("TargetCount", ("SAW-01",), "UInt32", STILL_INT, "", "sample", 0.3),
    ("Sollstückzahl", ("DB_Auftrag",), "Int32", STILL_INT, "", "sample", 0.3),
    ("目标产量", ("一号机床",), "Int32", STILL_INT, "", "sample", 0.3),
    ("CounterValue", ("PLC",), "Int32", JUMPY, "", "sample", 0.3),
    ("OilPressure", ("Hydraulics",), "Double", WAVE, "bar", "pressure", SURE),
]  # fmt: skip


def seen(name: str, parents: tuple[str, ...], datatype: str, samples: tuple[object, ...], unit: str) -> Seen:
    return Seen(name, parents, datatype, samples, unit)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "parents", "datatype", "samples", "unit", "meaning", "sure"), GOLDEN, ids=[f"{row[0]}" for row in GOLDEN])
def test_golden(name: str, parents: tuple[str, ...], datatype: str, samples: tuple[object, ...], unit: str, meaning: str, sure: float) -> None:
    found = guess(seen(name, parents, datatype, samples, unit))
    assert found.meaning == meaning and found.sure >= sure, found
    assert meaning == "sample" or (found.why and all(en and zh for en, zh in found.why))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Seen("Count", ("M",), "UInt32", UP), Seen("Count", ("M",), "UInt32", STILL_INT)),  # it only rises
        (Seen("Status", ("M",), "Int32", STATES), Seen("Status", ("M",), "Int32", tuple(range(100, 130)))),  # few values
        (Seen("Value", ("Good",), "UInt32", UP), Seen("Value", ("Anything",), "UInt32", UP)),  # where it stands
    ],
    ids=["behaviour of a counter", "behaviour of a state", "parent"],
)
def test_more_evidence_makes_surer(one: Seen, other: Seen) -> None:
    first, second = guess(one), guess(other)
    assert first.sure > second.sure or second.meaning != first.meaning, (first, second)


def test_an_enumeration_with_names_of_states_is_one() -> None:
    enum = {0: "Aus", 1: "Rüsten", 2: "Automatik läuft", 3: "Störung"}
    found = guess(Seen("Modus", ("M",), "Int32", (2, 2), enum=enum))
    assert found.meaning == "state" and found.sure >= MAYBE
    assert [state_of(text) for text in enum.values()] == ["off", "setup", "producing", "fault"]


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("Running", "producing"), ("EXECUTE", "producing"), ("Not executing", "idle"), ("Held", "stopped"), ("Aborted", "fault"),
        ("E-Stop", "fault"), ("Suspended", "starved"), ("待机", "idle"), ("自动运行", "producing"), ("急停", "fault"), ("缺料", "starved"),
        ("Leerlauf", "idle"), ("Wartung", "maintenance"), ("WO-123", None), ("", None), ("Pump", None),
    ],
)  # fmt: skip
def test_names_of_states(text: str, state: str | None) -> None:
    assert state_of(text) == state


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ('"DB_Maschine".xGutTeile_1', ("db", "maschine", "x", "gut", "teile", "1")),
        ("PLC1.OEE.nPartsOK", ("plc", "1", "oee", "n", "parts", "ok")),
        ("良品数量2", ("良品数量", "2")),
        ("", ()),
    ],
)
def test_names_are_split(name: str, words: tuple[str, ...]) -> None:
    assert tokens(name) == words


def test_units_become_si_and_what_is_no_single_value_is_nothing() -> None:
    assert (guess(Seen("P", ("M",), "Float", WAVE, "kW")).factor, guess(Seen("P", ("M",), "Float", WAVE, "kW")).suffix) == (1000.0, "w")
    assert guess(Seen("Zyklus_ms", ("M",), "UInt32", (35_000,), "ms")).factor == 0.001
    assert guess(Seen("GoodCount", ("M",), "UInt32", UP, is_scalar=False)) == Guess("", 0.0, (("not a single value", "不是单个数值"),))
    assert guess(Seen("Start", ("M",), "DateTime")).meaning == ""
    assert guess(Seen("Anything", ("M",), "Double", (), companion="good")).meaning == "good"
