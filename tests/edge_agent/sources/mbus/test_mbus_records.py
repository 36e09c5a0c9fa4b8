"""M-Bus telegrams of 76 real meters decoded as libmbus decodes them, 20 broken ones refused; mutations never crash."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.sources.mbus import frames, records, select
from edge_agent.sources.mbus.frames import Ack, Long, Short
from edge_agent.sources.mbus.records import ApplicationError, BadTelegram, Record, Telegram
from edge_agent.sources.mbus.select import SeveralTariffs, Wanted

CASES: list[dict[str, Any]] = [json.loads(line) for line in (Path(__file__).parent / "libmbus_frames.jsonl").read_text(encoding="utf-8").splitlines()]
GOOD = [case for case in CASES if "error" not in case]
BROKEN = [case for case in CASES if "error" in case]
FUNCTIONS = {
    "Instantaneous value": "instantaneous",
    "Maximum value": "maximum",
    "Minimum value": "minimum",
    "Value during error state": "error",
    "Manufacturer specific": "manufacturer",
    "More records follow": "manufacturer",
    "Actual value": "instantaneous",
}
UNITS = {"m^3": "m3", "m^3/h": "m3/h", "Units for H.C.A.": "units", "l": "m3", "kWh": "Wh", "reserved but historic": "m3", "Reserved": "", "-": None}
FACTORS = {"l": 0.001, "kWh": 1000.0, "reserved but historic": 0.001}
# libmbus prints a figure where the meter itself says that there is none (digits DD…, a day 0, the invalid bit): ours is None.
# The last one has no reading at all.
NO_VALUE = {
    ("ACW_Itron-BM-plus-m", 2),
    ("itron_bm_+m", 2),
    ("REL-Relay-Padpuls2", 1),
    ("ELS_Elster-F96-Plus", 4),
    ("ELS_Elster-F96-Plus", 5),
    ("abb_f95", 2),
    ("abb_f95", 3),
    ("landis+gyr_ultraheat_t230", 32),
    ("siemens_water", 3),
    ("siemens_wfh21", 3),
    ("sen_pollutherm", 2),
}


def frame_of(case: dict[str, Any]) -> Long:
    found = frames.take(bytearray(bytes.fromhex(case["hex"])))
    assert isinstance(found, Long)
    return found


def telegram(case: dict[str, Any]) -> Telegram:
    return records.decode(frame_of(case))


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case["name"])
def test_every_recorded_meter(case: dict[str, Any]) -> None:
    found = telegram(case)
    assert found.header.id.upper().lstrip("0") == case["id"].lstrip("0")
    assert found.header.manufacturer == (case["manufacturer"] or "")
    assert found.header.access == int(case["access"])
    assert len(found.records) == len(case["records"])
    for number, (mine, (function, storage, tariff, device, quantity, unit, value)) in enumerate(zip(found.records, case["records"], strict=True)):
        if (case["name"], number) in NO_VALUE:
            continue
        where = (number, mine)
        assert mine.function == FUNCTIONS[function], where
        if unit != "reserved but historic":
            assert (mine.storage, mine.tariff, mine.subunit) == (int(storage or 0), int(tariff or 0), int(device or 0)), where
        expected = UNITS.get(unit, unit)
        assert expected in (None, mine.unit) or not unit or mine.quantity == "dimensionless", where
        if isinstance(mine.value, str):
            assert mine.value.strip() == (value or "").rstrip("Z ").strip(), where
        else:
            assert mine.value == pytest.approx(float(value) * FACTORS.get(unit, 1.0), rel=1e-6, abs=1e-6), where
        assert bool(quantity) <= bool(mine.quantity), where


def test_where_the_meter_has_no_value_neither_have_we() -> None:
    checked = 0
    for case in GOOD:
        for number, record in enumerate(telegram(case).records):
            if (case["name"], number) in NO_VALUE - {("sen_pollutherm", 2)}:
                assert record.value is None, (case["name"], record)
                checked += 1
    assert checked == 10


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case["name"])
def test_every_broken_telegram_is_refused_in_words(case: dict[str, Any]) -> None:
    frame = frame_of(case)
    with pytest.raises(ApplicationError if case["error"] else BadTelegram) as refused:
        records.decode(frame)
    words = str(refused.value)
    assert words
    if case["error"]:
        assert words.lower().replace("-", " ")[:10] == case["error"].lower().replace("-", " ")[:10]


@pytest.mark.parametrize(
    ("data", "quantity", "unit", "value", "more"),
    [
        ("0403e8030000", "energy", "Wh", 1000.0, {}),
        ("0406e8030000", "energy", "Wh", 1_000_000.0, {}),
        ("04fb0001000000", "energy", "Wh", 100_000.0, {}),
        ("04fb0901000000", "energy", "J", 1e9, {}),
        ("0c13785634f2", "volume", "m3", -2345.678, {}),
        ("02fd4805 09".replace(" ", ""), "voltage", "V", 230.9, {}),
        ("02fdd8fc0139 30".replace(" ", ""), "current", "A", 1.2345, {"qualifiers": ("L1",)}),
        ("04833c01000000", "energy", "Wh", 1.0, {"qualifiers": ("backward",)}),
        ("84500301000000", "energy", "Wh", 1.0, {"tariff": 1, "subunit": 1}),
        ("c4810103 01000000".replace(" ", ""), "energy", "Wh", 1.0, {"storage": 35}),
        ("1428f6ffffff", "power", "W", -0.01, {"function": "maximum"}),
        ("042b00000080", "power", "W", None, {}),
        ("052b0000c07f", "power", "W", None, {}),
        ("0582fc0200008040", "energy", "Wh", 0.4, {"qualifiers": ("L2",)}),
        ("0483730a000000", "energy", "Wh", 0.01, {}),
        ("04837d0a000000", "energy", "Wh", 10000.0, {}),
        ("01fd1b81", "digital input", "", 129.0, {}),
        ("048315 0a000000".replace(" ", ""), "energy", "Wh", None, {}),
        ("066d1e2d0c7a2b00", "date and time", "", "2019-11-26T12:45:30", {}),
        ("036d1e2d0c", "date and time", "", "12:45:30", {}),
        ("0dfd0c04344d444c", "model / version", "", "LDM4", {}),
        ("0d03c23412", "energy", "Wh", 1234.0, {}),
        ("0d03d23412", "energy", "Wh", -1234.0, {}),
        ("0d03e2e803", "energy", "Wh", 1000.0, {}),
        ("047c02435634120000", "VC", "VC", 4660.0, {}),
    ],
)
def test_single_records(data: str, quantity: str, unit: str, value: object, more: dict[str, Any]) -> None:
    found = records.decode(Long(0x08, 1, 0x78, bytes.fromhex(data))).records[0]
    assert (found.quantity, found.unit) == (quantity, unit)
    assert found.value == (pytest.approx(value) if isinstance(value, float) else value)
    for key, expected in more.items():
        assert getattr(found, key) == expected


def test_more_telegrams_and_big_end_first() -> None:
    assert records.decode(Long(0x08, 1, 0x78, bytes.fromhex("04030100000 01f".replace(" ", "")))).more
    assert not records.decode(Long(0x08, 1, 0x78, bytes.fromhex("0403010000000f"))).more
    head = bytes.fromhex("78563412" + "2d2c" + "01020000" + "0000")
    assert records.decode(Long(0x08, 1, 0x76, head + bytes.fromhex("0403000003e8"))).records[0].value == 1000.0


def test_an_encrypted_telegram_is_refused() -> None:
    head = bytes.fromhex("78563412" + "2d2c" + "01020000" + "1005")
    with pytest.raises(BadTelegram, match="encrypted"):
        records.decode(Long(0x08, 1, 0x72, head + bytes(16)))


# --- link layer --------------------------------------------------------------------------------------------------------------------
def test_frames_there_and_back() -> None:
    assert frames.short(0x40, 1).hex() == "1040014116"
    assert frames.short(frames.REQ_UD2 | frames.FCB, 5).hex() == "107b058016"
    assert frames.take(bytearray(frames.short(0x7B, 5))) == Short(0x7B, 5)
    assert frames.take(bytearray(b"\xe5")) == Ack()
    assert frames.select(bytes.fromhex("78563412ffffffff")).hex() == "680b0b6853fd5278563412ffffffffb216"
    assert frames.take(bytearray(frames.long(8, 1, 0x72, b"abc"))) == Long(8, 1, 0x72, b"abc")


def test_a_telegram_is_found_in_noise_whatever_the_cuts() -> None:
    seed = 13757
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(150):
        case = rng.choice(GOOD)
        noise = bytes(rng.choice([0x68, 0x10, 0x16, 0x00, rng.randrange(256)]) for _ in range(rng.randrange(9)))
        stream = noise + bytes.fromhex(case["hex"])
        buffer, found = bytearray(), []
        while stream:
            cut = rng.randrange(1, 40)
            buffer += stream[:cut]
            stream = stream[cut:]
            while (frame := frames.take(buffer)) is not None:
                found.append(frame)
        assert found[-1] == frame_of(case)


def _mutations(count: int, seed: int) -> int:
    """Changes in real telegrams, with the checksum made right again: decoded or refused, never another error. How many were refused."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    refused = 0
    for _ in range(count):
        raw = bytearray(frame_of(rng.choice(CASES)).data)
        for _ in range(rng.randrange(1, 6)):
            what = rng.randrange(3)
            if what == 0 and raw:
                raw[rng.randrange(len(raw))] = rng.randrange(256)
            elif what == 1 and raw:
                del raw[rng.randrange(len(raw)) :]
            else:
                raw[rng.randrange(len(raw) + 1) : 0] = bytes(rng.randrange(256) for _ in range(rng.randrange(8)))
        try:
            found = records.decode(Long(0x08, 1, rng.choice([0x72, 0x73, 0x76, 0x77, 0x78, 0x7A, 0x70, rng.randrange(256)]), bytes(raw)))
            for record in found.records:
                select.ours(record)
                assert select.words(record)
        except (BadTelegram, ApplicationError):
            refused += 1
    return refused


def test_mutated_telegrams_never_crash() -> None:
    assert _mutations(3000, 1) > 300


@pytest.mark.full
def test_a_hundred_thousand_mutated_telegrams() -> None:
    begun = time.monotonic()
    assert _mutations(100_000, 2) > 10_000
    print(f"{(time.monotonic() - begun) / 100_000 * 1e6:.0f} us each")


# --- which record is which metric --------------------------------------------------------------------------------------------------
BASE = Record("energy", "Wh", 5.0)


@pytest.mark.parametrize(
    ("meter", "name", "value"),
    [
        ("kamstrup_multical_601", "energy_import_wh", 37_351_000.0),
        ("kamstrup_multical_601", "volume_m3", 561.08),
        ("kamstrup_multical_601", "temperature_flow_c", 101.69),
        ("emh_diz", "energy_import_wh", 4090.0),
        ("emh_diz", "energy_import_t1_wh", 4090.0),
        ("els_tmpa_telegramm1", "volume_m3", 1234.567),
        ("electricity-meter-1", "voltage_l2_v", 231.0),
        ("EMU_EMU-Professional-375-M-Bus", "power_w", -2.0),
    ],
)
def test_known_names_find_their_record(meter: str, name: str, value: float) -> None:
    found = telegram(next(case for case in GOOD if case["name"] == meter)).records
    record = select.find(found, select.KNOWN[name])
    assert record is not None and record.value == pytest.approx(value)


def test_tariffs_without_a_total_are_not_guessed() -> None:
    """Two tariffs and no total: neither is the meter's energy; the config says which, or that they add up."""
    found = telegram(next(case for case in GOOD if case["name"] == "electricity-meter-1")).records
    with pytest.raises(SeveralTariffs, match="1, 2"):
        select.find(found, select.KNOWN["energy_import_wh"])
    both = select.find(found, Wanted("energy", tariff="sum"))
    assert both is not None and both.value == pytest.approx(12520.0 + 17744330.0)
    assert select.find([replace(BASE, tariff=1), replace(BASE, tariff=2, value=None)], Wanted("energy", tariff="sum")) == replace(BASE, value=None)


def test_the_plain_record_stands_before_the_others() -> None:
    tariff, maximum, old = Record("energy", "Wh", 1.0, tariff=1), Record("energy", "Wh", 2.0, "maximum"), Record("energy", "Wh", 3.0, storage=1)
    backward = Record("energy", "Wh", 4.0, qualifiers=("backward",))
    everything = [tariff, maximum, old, backward, BASE]
    assert select.find(everything, select.KNOWN["energy_import_wh"]) is BASE
    assert select.find(everything[:-1], select.KNOWN["energy_import_wh"]) is tariff, "no total, and only one tariff"
    assert select.find(everything, select.KNOWN["energy_export_wh"]) is backward
    assert select.find([maximum, old], select.KNOWN["energy_import_wh"]) is None
    assert select.words(old) == "energy, storage 1"


@pytest.mark.parametrize(("unit", "ours", "factor"), [("J", "Wh", 1 / 3600), ("bar", "Pa", 1e5), ("m3/min", "m3/h", 60.0), ("K", "K", 1.0)])
def test_units_become_ours(unit: str, ours: str, factor: float) -> None:
    assert select.ours(Record("x", unit, 2.0)) == (ours, 2.0 * factor)
