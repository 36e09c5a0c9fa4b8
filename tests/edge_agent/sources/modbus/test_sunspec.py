"""SunSpec devices: found at every base, of every model, read over a real connection; nonsense is no device and no crash."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.__main__ import main
from edge_agent.sources.modbus import sunspec
from edge_agent.sources.modbus.frames import DeviceError
from edge_agent.sources.modbus.plan import Request
from tests.edge_agent.sources.modbus.test_library import NAMES, rows
from tests.support.modbus_slave import Asked, Slave

TRUE = {
    **{f"voltage_l{i}_v": 229.0 + i for i in (1, 2, 3)},
    **{f"current_l{i}_a": 10.5 + i for i in (1, 2, 3)},
    "power_w": -7600.0,
    "frequency_hz": 49.98,
    "power_apparent_va": 8100.0,
    "power_reactive_var": 1300.0,
    "power_factor": -0.93,
    "energy_import_wh": 1_234_500.0,
    "energy_export_wh": 88_000.0,
    "energy_reactive_varh": 4_000.0,
}
FACTORS = {
    "A_SF": -1,
    "V_SF": -1,
    "Hz_SF": -2,
    "W_SF": 1,
    "VA_SF": 1,
    "VAR_SF": 1,
    "VAr_SF": 1,
    "PF_SF": -1,
    "TotWh_SF": 2,
    "TotVArh_SF": 1,
    "WH_SF": 2,
}


def device(model: int, base: int, before: tuple[int, ...] = ()) -> dict[int, int]:
    """Registers as the definitions (not our table) say: mark, common model, other models, then `model`."""
    words: dict[int, int] = {base: 0x5375, base + 1: 0x6E53}
    at = base + 2

    def put(where: int, data: bytes) -> None:
        words.update({where + i // 2: int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)})

    put(at, struct.pack(">HH", 1, 66) + b"Acme".ljust(32, b"\0") + b"PM-1".ljust(32, b"\0") + bytes(32) + b"S/N 7".ljust(32, b"\0"))
    at += 68
    for other in before:
        put(at, struct.pack(">HH", other, 5))
        at += 7
    length = {1: 50, 2: 105 if model < 210 else 124}[model // 100]
    put(at, struct.pack(">HH", model, length))
    for row in rows("sunspec_points.csv"):
        if int(row["model"]) != model:
            continue
        where = at + int(row["offset"])
        if row["type"] == "sunssf":
            put(where, struct.pack(">h", FACTORS[row["point"]]))
            continue
        value = TRUE[NAMES[row["point"]]] * (100 if row["units"] == "Pct" else 1)
        if row["type"] == "float32":
            put(where, struct.pack(">f", value))
        else:
            raw = round(value / 10.0 ** FACTORS[row["scale_factor"]])
            put(where, struct.pack({"int16": ">h", "uint16": ">H", "acc32": ">I"}[row["type"]], raw))
    put(at + length + 2, struct.pack(">HH", 0xFFFF, 0))
    return dict.fromkeys(range(base, max(words) + 1), 0) | words


def only_what_is_there(slave: Slave) -> Any:
    def behave(asked: Asked) -> list[bytes | float]:
        held, last = slave.registers[asked.unit], asked.address + asked.count - 1
        return [asked.good() if asked.address in held and last <= max(held) else asked.exception(2)]

    return behave


@pytest.mark.parametrize("base", sunspec.BASES)
@pytest.mark.parametrize("model", [101, 103, 113, 201, 203, 204, 211, 213])
def test_every_value_of_a_device_is_found(tmp_path: Path, base: int, model: int, capsys: pytest.CaptureFixture[str]) -> None:
    with Slave("tcp", {3: device(model, base, before=(64001, 120))}) as slave:
        slave.behave = only_what_is_there(slave)
        path = tmp_path / "edge.toml"
        path.write_text(
            f'group = "P"\nedge = "E"\n[[brokers]]\nhost = "h"\n[sources.M]\ntype = "modbus"\n{slave.toml}\nmax_words = 50\n'
            '[sources.M.devices.M-1]\nkind = "meter"\nunit = 3\nmodel = "sunspec"\n'
        )
        assert main(["read-once", "--config", str(path)]) == 0
    shown = {line.split("\t")[1]: float(line.split("\t")[3]) for line in capsys.readouterr().out.splitlines()}
    expected = {key: TRUE[key] for key in sunspec.MODELS[model]}
    assert shown == pytest.approx(expected, rel=0.02)


def walk(words: dict[int, int]) -> sunspec.Block | None:
    async def ask(request: Request) -> list[int]:
        if request.address not in words:
            raise DeviceError(2)
        return [words.get(at, 0) for at in range(request.address, request.address + request.count)]

    return asyncio.run(sunspec.discover(ask))


def test_the_device_names_itself_and_a_meter_goes_before_an_inverter() -> None:
    found = walk(device(203, 40000))
    assert found is not None and (found.model, found.identity) == (203, "Acme PM-1 S/N 7")
    both = device(103, 40000)
    end = max(both) - 1
    both.update({end: 213, end + 1: 124, end + 126: 0xFFFF, end + 127: 0})
    found = walk(both)
    assert found is not None and found.model == 213


def test_no_mark_no_meter_model_and_an_endless_chain_are_no_device() -> None:
    assert walk({}) is None
    assert walk({40000: 0x5375, 40001: 0x1234}) is None
    assert walk({40000: 0x5375, 40001: 0x6E53, 40002: 0xFFFF}) is None
    assert walk(dict.fromkeys(range(65536), 0) | {40000: 0x5375, 40001: 0x6E53}) is None


@given(st.sampled_from(sorted(sunspec.MODELS)), st.lists(st.integers(0, 0xFFFF), max_size=130))
def test_any_content_of_a_block_is_numbers_or_nothing(model: int, words: list[int]) -> None:
    found = sunspec.values(sunspec.Block(model, 40070, len(words)), words, sunspec.KEYS)
    assert all(isinstance(value, float) and abs(value) < 1e60 for value in found.values())


def test_reserved_numbers_are_left_out() -> None:
    words = [203, 105, *([0x8000] * 36), *([0] * 69)]
    assert sunspec.values(sunspec.Block(203, 0, 107), words, sunspec.KEYS) == {}
    inverter = [103, 50, *([0xFFFF] * 12), 0x8000, *([0xFFFF] * 37)]
    assert "voltage_l1_v" not in sunspec.values(sunspec.Block(103, 0, 52), inverter, sunspec.KEYS)
