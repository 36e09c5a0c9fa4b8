"""P1 telegrams of thirteen meters: checksum, values, times; cut, mixed and mutated ones."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from edge_agent.sources.dsmr import telegram, values
from edge_agent.sources.dsmr.telegram import BadTelegram, Telegram

RECORDED = {
    name: text.encode("latin-1") for name, text in json.loads((Path(__file__).parent / "dsmr_telegrams.json").read_text(encoding="utf-8")).items()
}
WITH_CHECKSUM = [name for name, raw in RECORDED.items() if not raw.rstrip().endswith(b"!") and not name.startswith("ESY")]


def decoded(name: str) -> Telegram:
    raw = telegram.take(bytearray(RECORDED[name]))
    assert raw is not None
    return telegram.decode(raw)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("V2_2", {"energy_import_wh": 2002.0, "power_w": 1010.0, "gas_m3": 1.001, "water_m3": None}),
        ("V3", {"energy_import_wh": 24_691_356.0, "energy_import_t2_wh": 12_345_678.0, "power_w": 1190.0, "gas_m3": 1.001}),
        ("V4_2", {"energy_import_wh": 3_016_829.0, "energy_export_wh": 0.0, "power_l2_w": 1247.0, "current_l3_a": 2.0, "gas_m3": 981.443}),
        ("V5", {"energy_import_wh": 6825.0, "energy_export_wh": 2444.0, "power_w": 244.0, "voltage_l3_v": 229.0, "gas_m3": 0.107}),
        ("V5_TWO_MBUS", {"energy_import_wh": 2_375_582.0, "gas_m3": 246.138}),
        ("UNPADDED_CRC", {"heat_wh": 240.860e9 / 3600, "energy_import_wh": None}),
        ("FLUVIUS_V171", {"energy_import_wh": 15_792.0, "demand_max_w": 2589.0, "gas_m3": 112.384, "water_m3": 872.234}),
        ("FLUVIUS_V171_ALT", {"demand_w": 52.0, "demand_max_w": 3064.0, "gas_m3": 92.287, "water_m3": 8.579}),
        ("ESY5Q3DB1024_V304", {"energy_import_wh": 52_185_782.5309, "energy_export_wh": 19_949_322.1493, "power_w": 2124.86}),
        ("ESY5Q3DA1004_V304", {"energy_import_wh": 32_549_506.1662, "power_l3_w": 609.30}),
        (
            "SAGEMCOM_T210_D_R",
            {"energy_import_wh": 6_545_766.0, "energy_export_wh": 58.0, "energy_reactive_varh": 747.0, "power_reactive_var": -166.0},
        ),
        ("ISKRA_IE", {"energy_import_wh": 20_363.0, "power_w": -100.0, "power_l3_w": -10.0}),
        ("V5_EON_HU", {"energy_import_wh": 173_640.0, "energy_reactive_varh": 668.0, "power_w": -2601.0, "frequency_hz": 50.0}),
    ],
)
def test_every_recorded_meter(name: str, expected: dict[str, float | None]) -> None:
    found = decoded(name)
    for metric, value in expected.items():
        assert values.value_of(found, metric) == (pytest.approx(value) if value is not None else None), metric


def test_all_recorded_meters_are_checked_and_most_have_a_checksum() -> None:
    assert len(RECORDED) == 13 and len(WITH_CHECKSUM) == 9


@pytest.mark.parametrize("name", WITH_CHECKSUM)
def test_a_changed_byte_is_noticed(name: str) -> None:
    raw = RECORDED[name]
    for at in range(1, raw.rindex(b"!"), 7):
        if raw[at] in b"\r\n/!" or raw[at] ^ 1 in b"\r\n/!":
            continue
        broken = bytearray(raw)
        broken[at] ^= 1
        found = telegram.take(broken)
        assert found is not None
        with pytest.raises(BadTelegram, match="checksum"):
            telegram.decode(found)


@pytest.mark.parametrize(
    ("text", "winter_offset_h", "utc"),
    [
        ("170102192002W", 1, 1_483_381_202),
        ("200426223325S", 1, 1_587_933_205),
        ("230202132747W", 0, 1_675_344_467),
        ("261025023000S", 1, 1_792_888_200),  # half past two comes twice that night
        ("261025023000W", 1, 1_792_891_800),
        ("210204163628", 1, 1_612_452_988),
    ],
)
def test_the_meters_time(text: str, winter_offset_h: float, utc: int) -> None:
    assert telegram.time_ms(text, winter_offset_h) == utc * 1000


@pytest.mark.parametrize("text", ["", "632525252525W", "17010219200W", "170102192002X", "soon"])
def test_times_that_are_none(text: str) -> None:
    assert telegram.time_ms(text, 1) is None


def test_a_stream_with_cuts_noise_and_a_torn_telegram() -> None:
    seed = 62056
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(40):
        names = rng.sample(sorted(RECORDED), 3)
        torn = RECORDED[names[0]][: rng.randrange(5, 60)] + b"\r\n"
        stream = b"\xff!!\r\n(" + torn + b"".join(RECORDED[name] for name in names)
        buffer, found = bytearray(), []
        while stream:
            cut = rng.randrange(1, 200)
            buffer += stream[:cut]
            stream = stream[cut:]
            while (raw := telegram.take(buffer)) is not None:
                found.append(telegram.decode(raw).identification)
        assert found == [decoded(name).identification for name in names]


def test_nonsense_is_refused_in_words() -> None:
    seed = 5
    print(f"seed {seed}")
    rng = random.Random(seed)
    pieces = [b"/X", b"!", b"!\r\n", b"\r\n", b"1-0:1.8.0(", b"(12*kWh)", b"\xff", b"!ABCD\r\n", b"/"]
    for _ in range(3000):
        buffer = bytearray(b"".join(rng.choice(pieces) for _ in range(rng.randrange(30))))
        while (raw := telegram.take(buffer)) is not None:
            try:
                found = telegram.decode(raw)
            except BadTelegram as error:
                assert str(error)
                continue
            for name in values.KNOWN:
                values.value_of(found, name)


def test_a_stream_without_an_end_does_not_pile_up() -> None:
    buffer = bytearray()
    for _ in range(100):
        buffer += b"/" + b"x" * 2000
        assert telegram.take(buffer) is None
    assert len(buffer) <= telegram.TELEGRAM_MAX + 2001
