"""Registers, word orders, request plans, meter models: published vectors and the collected register maps."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.errors import ConfigInvalid
from edge_agent.sources.modbus.codec import WORDS, decode, encode, power_factor
from edge_agent.sources.modbus.config import ModbusDevice
from edge_agent.sources.modbus.meters import metrics_of, models
from edge_agent.sources.modbus.plan import Field, plan

MAPS = Path(__file__).parent / "register_maps.csv"


@pytest.mark.parametrize(
    ("words", "kind", "order", "value"),
    [
        ([0x4366, 0x8000], "float32", "ABCD", 230.5),
        ([0x8000, 0x4366], "float32", "CDAB", 230.5),
        ([0x6643, 0x0080], "float32", "BADC", 230.5),
        ([0x0080, 0x6643], "float32", "DCBA", 230.5),
        ([0x1234, 0x5678], "uint32", "ABCD", 305419896),
        ([0x0000, 0x001C, 0xBE99, 0x1A14], "int64", "ABCD", 123456789012),
        ([0xFFFF, 0xFFFE], "int32", "ABCD", -2),
        ([0xFFFE], "int16", "ABCD", -2),
        ([0x4132, 0xD687, 0xE418, 0x9375], "float64", "ABCD", 1234567.891),
        ([0x7FC0, 0x0000], "float32", "ABCD", None),  # NaN: not available
        ([1], "bool", "ABCD", True),
    ],
)
def test_published_vectors(words: list[int], kind: str, order: str, value: object) -> None:
    assert decode(words, kind, order) == value  # type: ignore[arg-type]


@pytest.mark.parametrize(("register", "factor"), [(0.9, 0.9), (1.1, 0.9), (-1.1, -0.9), (-0.9, -0.9), (1.0, 1.0)])
def test_four_quadrant_power_factor(register: float, factor: float) -> None:
    assert power_factor(register) == pytest.approx(factor)


@given(st.integers(-(2**31), 2**31 - 1), st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"]), st.sampled_from(["int32", "int64", "float64"]))
def test_law_what_is_written_is_read(value: int, order: str, kind: str) -> None:
    assert decode(encode(value, kind, order), kind, order) == value  # type: ignore[arg-type]


def field(address: int, kind: str = "float32", table: str = "input") -> Field:
    return Field(address, f"m{address}", table, address, kind, "ABCD", 1.0)  # type: ignore[arg-type]


def test_neighbours_share_a_request_over_small_holes_only() -> None:
    requests = plan([field(0), field(2), field(12), field(72)], max_hole=8)
    assert [(r.address, r.count, len(r.fields)) for r in requests] == [(0, 14, 3), (72, 2, 1)]
    assert len(plan([field(0), field(2)], one_per_field=True)) == 2
    assert len(plan([field(0), field(0, table="holding")])) == 2


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=80, unique=True), st.integers(4, 125), st.integers(0, 50))
def test_law_every_field_is_read_once_and_no_request_is_too_long(addresses: list[int], max_words: int, max_hole: int) -> None:
    requests = plan([field(a, "int64") for a in addresses], max_words=max_words, max_hole=max_hole)
    seen = [f.address for request in requests for f in request.fields]
    assert sorted(seen) == sorted(addresses)
    for request in requests:
        assert request.count <= max(max_words, WORDS["int64"])
        assert all(request.address <= f.address and f.address + f.words <= request.address + request.count for f in request.fields)


def test_meter_models_agree_with_the_collected_maps() -> None:
    names = {
        "Eastron SDM630": "eastron_sdm630",
        "Schneider PM5100": "schneider_pm5100",
        "Schneider iEM3000": "schneider_iem3000",
        "Siemens PAC3200/4200": "siemens_pac3200",
        "Acrel ADW300": "acrel_adw300",
        "Chint DTSU666": "chint_dtsu666",
    }
    quantities = {
        "voltage L1-N": "voltage_l1_v",
        "voltage A-N": "voltage_l1_v",
        "voltage A": "voltage_l1_v",
        "current L1": "current_l1_a",
        "current A": "current_l1_a",
        "total active power": "power_w",
        "active power total": "power_w",
        "total reactive power": "power_reactive_var",
        "frequency": "frequency_hz",
        "import active energy": "energy_import_wh",
        "active energy delivered": "energy_import_wh",
        "active energy import total": "energy_import_wh",
        "active energy import tariff 1": "energy_import_wh",
        "forward active energy": "energy_import_wh",
        "export active energy": "energy_export_wh",
        "reactive energy delivered": "energy_reactive_varh",
    }
    checked = 0
    with MAPS.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            model, metric = names.get(row["meter"]), quantities.get(row["quantity"])
            if model is None or metric is None:
                continue
            ours = models()[model].metrics[metric]
            assert ours.register_ == int(row["addr0_decimal"]), row
            assert ours.table == {"3": "holding", "4": "input"}[row["function_code"]], row
            assert ours.type == row["type"].split()[0], row
            checked += 1
    assert checked >= 25


def test_device_settings_stand_over_the_model() -> None:
    device = ModbusDevice.model_validate(
        {
            "model": "eastron_sdm630",
            "word_order": "CDAB",
            "only": ["power_w"],
            "metrics": {"power_w": {"deadband": 5.0}, "extra_w": {"register": 100}},
        }
    )
    metrics = metrics_of("M", device)
    assert list(metrics) == ["power_w", "extra_w"]
    power = metrics["power_w"]
    assert (power.register_, power.table, power.word_order, power.deadband) == (52, "input", "CDAB", 5.0)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"model": "nope"}, "no meter model 'nope'"),
        ({"model": "acrel_adw300", "only": ["power_factor"]}, "has no power_factor"),
        ({"metrics": {"power_w": {}}}, "register is missing"),
    ],
)
def test_what_cannot_be_is_said_with_the_next_step(raw: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigInvalid) as error:
        metrics_of("M-1", ModbusDevice.model_validate(raw))
    assert words in error.value.en and error.value.next_en and error.value.next_zh
