"""SunSpec: the device says itself where its values stand. The walk over its models, and the values of one model's block.

Source: SunSpec Device Information Model specification and the model definitions 1, 101-103, 111-113, 201-204, 211-214 (offsets count from the model's
id). A point that the device does not have holds a reserved number (8000h, FFFFh, NaN; 0 for an accumulator) and is left out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from edge_agent.sources.modbus import codec
from edge_agent.sources.modbus.frames import SILENT, DeviceError
from edge_agent.sources.modbus.plan import Request

BASES: Final = (40000, 50000, 0)
MARK: Final = [0x5375, 0x6E53]  # "SunS"
_NONE: Final = {"int16": 0x8000, "uint16": 0xFFFF}
COMMON: Final = 1
MODELS_MAX: Final = 64  # a chain longer than any device's is a device that answers everything
LENGTH_MAX: Final = 2000
_END: Final = 0xFFFF
_SCALE_FACTORS: Final = range(-10, 11)

Ask = Callable[[Request], Awaitable[list[int]]]
Kind = Literal["int16", "uint16", "acc32", "float32"]


class Point(NamedTuple):
    """Where a value stands in its model. `scale_factor`: offset of the power of ten that belongs to it; `to_si` comes on top."""

    offset: int
    kind: Kind
    scale_factor: int | None = None
    to_si: float = 1.0


def _points(rows: Iterable[tuple[str, int, int | None]], *, inverter: bool, whole: bool) -> dict[str, Point]:
    """`whole`: integers with scale factors, else floats. Inverters know no sign of current, voltage and frequency."""
    out = {}
    for key, offset, factor in rows:
        unsigned = inverter and key.endswith(("_a", "_v", "_hz"))
        kind: Kind = "float32" if not whole else "acc32" if "energy" in key else "uint16" if unsigned else "int16"
        out[key] = Point(offset, kind, factor, 0.01 if key == "power_factor" and (inverter or whole) else 1.0)  # in percent there
    return out


def _phases(quantity: str, unit: str, first: int, step: int, factor: int | None) -> list[tuple[str, int, int | None]]:
    return [(f"{quantity}_l{i + 1}_{unit}", first + i * step, factor) for i in range(3)]


_METER = _points(
    [
        *_phases("current", "a", 3, 1, 6),
        *_phases("voltage", "v", 8, 1, 15),
        ("frequency_hz", 16, 17),
        ("power_w", 18, 22),
        ("power_apparent_va", 23, 27),
        ("power_reactive_var", 28, 32),
        ("power_factor", 33, 37),
        ("energy_export_wh", 38, 54),
        ("energy_import_wh", 46, 54),
        ("energy_reactive_varh", 72, 104),
    ],
    inverter=False,
    whole=True,
)
_METER_FLOAT = _points(
    [
        *_phases("current", "a", 4, 2, None),
        *_phases("voltage", "v", 12, 2, None),
        ("frequency_hz", 26, None),
        ("power_w", 28, None),
        ("power_apparent_va", 36, None),
        ("power_reactive_var", 44, None),
        ("power_factor", 52, None),
        ("energy_export_wh", 60, None),
        ("energy_import_wh", 68, None),
        ("energy_reactive_varh", 92, None),
    ],
    inverter=False,
    whole=False,
)
_INVERTER = _points(
    [
        *_phases("current", "a", 3, 1, 6),
        *_phases("voltage", "v", 10, 1, 13),
        ("power_w", 14, 15),
        ("frequency_hz", 16, 17),
        ("power_apparent_va", 18, 19),
        ("power_reactive_var", 20, 21),
        ("power_factor", 22, 23),
        ("energy_export_wh", 24, 26),
    ],
    inverter=True,
    whole=True,
)
_INVERTER_FLOAT = _points(
    [
        *_phases("current", "a", 4, 2, None),
        *_phases("voltage", "v", 16, 2, None),
        ("power_w", 22, None),
        ("frequency_hz", 24, None),
        ("power_apparent_va", 26, None),
        ("power_reactive_var", 28, None),
        ("power_factor", 30, None),
        ("energy_export_wh", 32, None),
    ],
    inverter=True,
    whole=False,
)
MODELS: Final[Mapping[int, Mapping[str, Point]]] = {
    **dict.fromkeys((201, 202, 203, 204), _METER),
    **dict.fromkeys((211, 212, 213, 214), _METER_FLOAT),
    **dict.fromkeys((101, 102, 103), _INVERTER),
    **dict.fromkeys((111, 112, 113), _INVERTER_FLOAT),
}
KEYS: Final = tuple(_METER)  # every metric key a SunSpec device may have


@dataclass(frozen=True, slots=True)
class Block:
    """The model of a device that is read: its id, the address of that id, how many registers it has with id and length."""

    model: int
    address: int
    count: int
    identity: str = ""  # maker, model, serial number as the device says them

    def requests(self, max_words: int) -> list[Request]:
        """The whole block, in as many pieces as the device needs."""
        steps = range(self.address, self.address + self.count, max_words)
        return [Request("holding", at, min(max_words, self.address + self.count - at), ()) for at in steps]


def values(block: Block, words: Sequence[int], keys: Iterable[str]) -> dict[str, float]:
    """Values in SI units of those of `keys` that the device has. `words`: the whole block."""
    out = {}
    for key in keys:
        point = MODELS[block.model].get(key)
        value = None if point is None else _value(point, words)
        if value is not None:
            out[key] = value
    return out


def _value(point: Point, words: Sequence[int]) -> float | None:
    size = 1 if point.kind in _NONE else 2
    if point.offset + size > len(words):
        return None
    raw = list(words[point.offset : point.offset + size])
    if raw == ([0, 0] if point.kind == "acc32" else [_NONE.get(point.kind)]):
        return None
    value = codec.decode(raw, "uint32" if point.kind == "acc32" else point.kind)
    if value is None or point.scale_factor is None:
        return None if value is None else float(value) * point.to_si
    if point.scale_factor >= len(words):
        return None
    power = codec.decode([words[point.scale_factor]], "int16")
    return float(value) * 10.0 ** float(power or 0) * point.to_si if power in _SCALE_FACTORS else None


async def discover(ask: Ask) -> Block | None:
    """Looks for the mark at the three places the specification names, walks the chain of models. None: not a SunSpec meter or inverter.

    Of several, a meter's model is taken before an inverter's. Raises what `ask` raises, but for exceptions of the device.
    """
    for base in BASES:
        try:
            if await ask(Request("holding", base, 2, ())) == MARK:
                return await _walk(ask, base + 2)
        except DeviceError as error:
            if error.code in SILENT:
                raise

    return None


async def _walk(ask: Ask, address: int) -> Block | None:
    found: list[Block] = []
    identity = ""
    for _ in range(MODELS_MAX):
        model, length = await ask(Request("holding", address, 2, ()))
        if model == _END or length > LENGTH_MAX:
            break
        if model == COMMON and length >= 64:
            words = await ask(Request("holding", address + 2, 64, ()))
            identity = " ".join(filter(None, (_text(words[at : at + size]) for at, size in ((0, 16), (16, 16), (48, 16)))))
        if model in MODELS:
            found.append(Block(model, address, length + 2))
        address += length + 2
        if address > 65533:
            break
    chosen = min(found, key=lambda block: (block.model < 200, block.address), default=None)
    return None if chosen is None else Block(chosen.model, chosen.address, chosen.count, identity)


def _text(words: Sequence[int]) -> str:
    raw = b"".join(word.to_bytes(2, "big") for word in words)
    return "".join(char for char in raw.split(b"\0")[0].decode("utf-8", "replace").strip() if char.isprintable())
