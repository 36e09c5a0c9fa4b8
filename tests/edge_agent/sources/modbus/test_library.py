"""The meter library against sources that know nothing of it: collected maps, four packages, mbmd, and SunSpec's own model definitions."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from edge_agent.pipeline.tags import counter_rule
from edge_agent.sources.modbus import codec, sunspec
from edge_agent.sources.modbus.config import ModbusDevice
from edge_agent.sources.modbus.meters import SUNSPEC, metrics_of, models

HERE = Path(__file__).parent
VOLTAGES = ("voltage_l1_v",)


def rows(name: str) -> list[dict[str, str]]:
    with (HERE / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def same_type(ours: str, theirs: str) -> bool:
    """Theirs may be a bare width: that source does not tell the sign."""
    return ours == theirs or (theirs.isdigit() and codec.WORDS[ours] * 16 == int(theirs))  # type: ignore[index]


def test_twenty_makes_and_models_each_with_its_source() -> None:
    known = models()
    assert len(known) >= 25
    assert len({model.maker for model in known.values()}) >= 15
    for name, model in known.items():
        assert model.source, name
        assert set(model.metrics) <= set(sunspec.KEYS), name
        assert {"power_w", "voltage_l1_v", "current_l1_a", "energy_import_wh"} <= set(model.metrics), name
    assert sum(bool(model.second_source) for model in known.values()) >= 11, "confirmed by a second, independent source"


@pytest.mark.parametrize("row", rows("package_registers.csv"), ids=lambda row: f"{row['model']}.{row['metric']}")
def test_packages_of_others_read_the_same_registers(row: dict[str, str]) -> None:
    ours = models()[row["model"]].metrics[row["metric"]]
    assert ours.register_ == int(row["register"])
    assert ours.table == (row["table"] or ours.table)
    assert same_type(ours.type or "float32", row["type"]) or row["model"] == "abb_b_series"
    assert codec.WORDS[ours.type or "float32"] == codec.WORDS[_type(row["type"])]
    assert (ours.word_order or "ABCD") == row["word_order"]
    assert ours.scale == pytest.approx(float(row["scale_to_si"]))


def _type(name: str) -> Any:
    return f"int{name}" if name.isdigit() else name


@pytest.mark.parametrize("row", rows("mbmd_registers.csv"), ids=lambda row: f"{row['model']}.{row['metric']}")
def test_mbmd_reads_the_same_registers(row: dict[str, str]) -> None:
    ours = models()[row["model"]].metrics[row["metric"]]
    assert ours.register_ == int(row["address"], 0)
    assert ours.table == {"3": "holding", "4": "input"}[row["function"]]
    assert same_type(ours.type or "float32", row["type"])
    assert (ours.word_order or "ABCD") == row["word_order"]
    assert ours.scale == pytest.approx((1000.0 if row["unit"] == "kWh" else 1.0) / float(row["divisor"]))


def test_every_model_is_checked_against_something() -> None:
    maps = {"Eastron SDM630", "Schneider PM5100", "Schneider iEM3000", "Siemens PAC3200/4200", "Acrel ADW300", "Chint DTSU666"}
    assert maps <= {row["meter"] for row in rows("register_maps.csv")}  # test_modbus_pure compares these six
    checked = {row["model"] for name in ("package_registers.csv", "mbmd_registers.csv") for row in rows(name)}
    assert set(models()) - checked == {"schneider_pm5100", "schneider_iem3000", "acrel_adw300"}


def test_no_two_values_of_a_model_share_a_register() -> None:
    for name, model in models().items():
        taken = Counter(
            at
            for metric in model.metrics.values()
            for at in range(metric.register_ or 0, (metric.register_ or 0) + codec.WORDS[metric.type or "float32"])
        )
        assert max(taken.values()) == 1, name


# --- settings over the model --------------------------------------------------------------------------------------------------------------
def device(**settings: Any) -> ModbusDevice:
    return ModbusDevice.model_validate({"model": "eastron_sdm630", **settings})


def test_transformer_ratios_multiply_by_the_unit() -> None:
    plain, behind = metrics_of("M", device()), metrics_of("M", device(ct_ratio=40, pt_ratio=100))
    factors = {key: behind[key].scale / plain[key].scale for key in plain}
    assert factors["current_l1_a"] == 40 and factors["voltage_l1_v"] == 100
    for key in ("power_w", "power_reactive_var", "power_apparent_va", "energy_import_wh", "energy_export_wh", "energy_reactive_varh"):
        assert factors[key] == 4000, key
    assert factors["power_factor"] == factors["frequency_hz"] == 1


def test_the_bound_of_a_counter_follows_the_ratio() -> None:
    """rated_power_w is that of the load: the raw register behind a 40:1 transformer moves 40 times slower."""
    for ratio in (1.0, 40.0):
        made = device(ct_ratio=ratio, rated_power_w=360_000)
        rule = counter_rule(made, "energy_import_wh", metrics_of("M", made)["energy_import_wh"])
        assert rule.max_per_s * 1000 * ratio == pytest.approx(100)  # raw kWh per second -> Wh per second


def test_a_meter_mounted_backwards_changes_signs_and_directions() -> None:
    plain, turned = metrics_of("M", device()), metrics_of("M", device(invert=True))
    assert turned["power_w"].scale == -plain["power_w"].scale
    assert turned["power_factor"].scale == -plain["power_factor"].scale
    assert turned["current_l1_a"].scale == plain["current_l1_a"].scale
    assert turned["energy_import_wh"].register_ == plain["energy_export_wh"].register_
    assert turned["energy_export_wh"].register_ == plain["energy_import_wh"].register_
    only = metrics_of("M", device(invert=True, only=["energy_import_wh"]))
    assert list(only) == ["energy_import_wh"] and only["energy_import_wh"].register_ == plain["energy_export_wh"].register_


@pytest.mark.parametrize(
    ("kind", "bits"), [("uint16", 16), ("uint32", 32), ("int32", 31), ("int16", 15), ("float32", None), ("int64", None), ("uint64", None)]
)
def test_a_running_total_rolls_over_by_the_width_of_its_register(kind: str, bits: int | None) -> None:
    made = ModbusDevice.model_validate({"metrics": {"energy_import_wh": {"register": 0, "type": kind}}})
    assert metrics_of("M", made)["energy_import_wh"].width_bits == bits
    own = ModbusDevice.model_validate({"metrics": {"energy_import_wh": {"register": 0, "type": kind, "modulus": 1_000_000.0}}})
    assert metrics_of("M", own)["energy_import_wh"].width_bits is None


@pytest.mark.parametrize(
    ("kind", "words"), [("uint16", [0xFFFF]), ("int16", [0x7FFF]), ("uint32", [0xFFFF] * 2), ("int32", [0x7FFF, 0xFFFF]), ("uint64", [0xFFFF] * 4)]
)
def test_the_highest_number_is_no_value_where_the_meter_says_so(kind: Any, words: list[int]) -> None:
    assert codec.is_highest(codec.decode(words, kind), kind)
    assert not codec.is_highest(codec.decode([*words[:-1], words[-1] - 1], kind), kind)
    assert not codec.is_highest(None, kind)


# --- SunSpec --------------------------------------------------------------------------------------------------------------------------------
NAMES = {
    "AphA": "current_l1_a",
    "AphB": "current_l2_a",
    "AphC": "current_l3_a",
    "PhVphA": "voltage_l1_v",
    "PhVphB": "voltage_l2_v",
    "PhVphC": "voltage_l3_v",
    "W": "power_w",
    "Hz": "frequency_hz",
    "VA": "power_apparent_va",
    "VAR": "power_reactive_var",
    "VAr": "power_reactive_var",
    "PF": "power_factor",
    "TotWhExp": "energy_export_wh",
    "TotWhImp": "energy_import_wh",
    "TotVArhImpQ1": "energy_reactive_varh",
    "WH": "energy_export_wh",
}


def test_sunspec_points_stand_where_the_model_definitions_say() -> None:
    defined = rows("sunspec_points.csv")
    factors = {(row["model"], row["point"]): int(row["offset"]) for row in defined if row["point"].endswith("_SF")}
    checked = 0
    for row in defined:
        key = NAMES.get(row["point"])
        if key is None:
            continue
        point = sunspec.MODELS[int(row["model"])][key]
        assert point.offset == int(row["offset"]), row
        assert point.kind == row["type"], row
        assert point.scale_factor == factors.get((row["model"], row["scale_factor"])), row
        assert point.to_si == (0.01 if row["units"] == "Pct" else 1.0), row
        checked += 1
    assert checked == sum(len(points) for points in sunspec.MODELS.values())


def test_a_sunspec_device_has_every_usual_metric_and_takes_ratios() -> None:
    metrics = metrics_of("M", ModbusDevice.model_validate({"model": SUNSPEC, "ct_ratio": 2, "only": ["power_w", "energy_import_wh"]}))
    assert list(metrics) == ["power_w", "energy_import_wh"]
    assert metrics["power_w"].register_ is None and metrics["power_w"].scale == 2


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_manual_lists_every_model_and_how_sure_it_is(lang: str) -> None:
    page = (Path(__file__).parents[4] / "docs" / "manual" / lang / "meters.md").read_text(encoding="utf-8")
    listed = {line for line in page.splitlines() if line.startswith("| `") and not line.startswith("| `model`")}
    for name, model in models().items():
        assert f"| `{name}` | {model.name} | {2 if model.second_source else 1} |" in listed
    assert len(listed) == len(models()) + 1 and any(line.startswith(f"| `{SUNSPEC}`") for line in listed)
