"""A scenario as data: the plant, its people, its mess. Read from TOML once; nothing else in the simulators reads configuration.

Units: seconds `_s`, watts `_w`, hours `_h`, pieces. Raises ScenarioError in words that name the file.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_agent.contract.clock import parse_iso_ms

FOLDER = Path(__file__).parent / "scenarios"
OP_SAW, OP_TURN, OP_MILL, OP_DEBURR, OP_WASH, OP_LEAK, OP_ASM1, OP_ASM2, OP_EOL = range(10, 100, 10)


class ScenarioError(ValueError):
    """A scenario that cannot be read."""


@dataclass(frozen=True, slots=True)
class Line:
    code: str
    name_zh: str
    name_en: str
    oee_target: float
    edge: str
    namespace: str


@dataclass(frozen=True, slots=True)
class MachineSpec:
    code: str
    line: str
    machine_class: str
    name_zh: str
    name_en: str
    rated_power_w: int
    mtbf_h: float
    micro_per_h: float
    scrap_by: str
    scrap_base: float
    wear_pieces: int = 0  # pieces until the tool is changed; 0: no tool
    order_tag: bool = False
    scrap_bad_lot: float = 0.0
    counter: str = "u32"  # u32 | u16 | per_order
    counter_start: int = 0
    states: str = "packml"  # packml | vendor
    retentive: bool = True
    runs_through_breaks: bool = False
    micro_stop_s: int = 120


@dataclass(frozen=True, slots=True)
class OperationSpec:
    number: int
    machine_class: str
    name_zh: str
    name_en: str
    counting: str
    buffer: int
    machines: tuple[str, ...]
    milestone: bool = False


@dataclass(frozen=True, slots=True)
class Product:
    code: str
    name_zh: str
    name_en: str
    family: str
    gtin: str
    box_quantity: int
    cycle_s: dict[int, int]


@dataclass(frozen=True, slots=True)
class Component:
    kind: str
    operation: int
    quantity: float
    unit: str
    lot_quantity: float
    container: float
    name_zh: str
    name_en: str

    def item(self, product: str) -> str:
        """`CST-310` for product `P-310`."""
        return f"{self.kind}-{product.removeprefix('P-')}"


@dataclass(frozen=True, slots=True)
class Person:
    code: str
    name: str
    lang: str
    role: str
    shift: str = ""
    stations: tuple[str, ...] = ()
    user: str = ""


@dataclass(frozen=True, slots=True)
class Station:
    code: str
    name_zh: str
    name_en: str
    machines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alarm:
    machine_class: str
    code: str
    kind: str
    zh: str
    en: str
    reason: str


@dataclass(frozen=True, slots=True)
class MeterSpec:
    code: str
    make: str
    kind: str = "machine"
    machine: str = ""
    line: str = ""
    name_zh: str = ""
    name_en: str = ""
    rated_power_w: int = 0


@dataclass(frozen=True, slots=True)
class Shift:
    code: str
    name_zh: str
    name_en: str
    start: str
    end: str
    breaks: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Mess:
    bad_casting_lot_every: int = 0
    casting_scrap: float = 0.0
    double_scan: float = 0.0
    over_report: float = 0.0
    undo: float = 0.0
    offline_per_day: float = 0.0
    offline_s: int = 3600
    plc_restart_line: str = ""
    plc_restart_at: str = ""
    plc_restart_s: int = 45
    late_lot_per_day: float = 0.0
    erp_busy: float = 0.0
    erp_timeout_after_commit: float = 0.0
    erp_cut_after_commit: float = 0.0
    erp_closed: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class OrderBook:
    first_number: int = 1001
    quantity_min: int = 40
    quantity_max: int = 110
    open: int = 25
    changes_per_day: float = 0.0
    cancel_per_day: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    seed: int
    history_days: int
    start_ms: int | None
    zone: str
    site: dict[str, str]
    lines: tuple[Line, ...]
    machines: tuple[MachineSpec, ...]
    operations: tuple[OperationSpec, ...]
    products: tuple[Product, ...]
    components: tuple[Component, ...]
    stations: tuple[Station, ...]
    people: tuple[Person, ...]
    shifts: tuple[Shift, ...]
    reasons: tuple[dict[str, Any], ...]
    alarms: tuple[Alarm, ...]
    meters: tuple[MeterSpec, ...]
    mess: Mess
    orders: OrderBook
    setup_same_s: int
    setup_other_s: int
    setup_factor: dict[str, float]
    pace: float = 1.0  # every cycle takes that many times as long as plant.toml says
    calm: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    def machine(self, code: str) -> MachineSpec:
        return next(m for m in self.machines if m.code == code)

    def product(self, code: str) -> Product:
        return next(p for p in self.products if p.code == code)

    def line(self, code: str) -> Line:
        return next(line for line in self.lines if line.code == code)

    def operation(self, number: int) -> OperationSpec:
        return next(o for o in self.operations if o.number == number)

    def operation_of_machine(self, machine: str) -> OperationSpec:
        return next(o for o in self.operations if machine in o.machines)

    def station_of(self, machine: str) -> str:
        return next(s.code for s in self.stations if machine in s.machines)

    def meter_line(self, meter: MeterSpec) -> str:
        return meter.line or self.machine(meter.machine).line


def _tuples(raw: list[dict[str, Any]], cls: type[Any], **fixed: Any) -> tuple[Any, ...]:
    return tuple(cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in one.items()}, **fixed) for one in raw)


def _shifts(raw: list[dict[str, Any]]) -> tuple[Shift, ...]:
    return tuple(Shift(**{**one, "breaks": tuple((b["start"], b["end"]) for b in one.get("breaks", []))}) for one in raw)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ScenarioError(f"scenario {path.name}: {error}") from error


def load(name: str, seed: int | None = None) -> Scenario:
    """The scenario of that name (`demo`, `check`, `quiet`) or of a .toml file's path; `seed` overrides the file's."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    top = _read(path)
    raw = {**_read(FOLDER / top.get("base", "plant.toml")), **_read(FOLDER / "reasons.toml")}
    for key, value in top.items():
        raw[key] = {**raw[key], **value} if isinstance(value, dict) and isinstance(raw.get(key), dict) else value
    try:
        return _build(path.stem, raw, seed)
    except (KeyError, TypeError) as error:
        raise ScenarioError(f"scenario {path.name} lacks or does not know {error}") from error


def _build(name: str, raw: dict[str, Any], seed: int | None) -> Scenario:
    machines: tuple[MachineSpec, ...] = _tuples(raw["machines"], MachineSpec)
    calm = bool(raw.get("calm", False))
    operations = tuple(
        OperationSpec(
            **{**one, "machines": tuple(one.get("machines") or [m.code for m in machines if m.machine_class == one["machine_class"]])},
        )
        for one in raw["operations"]
    )
    pace = float(raw.get("pace", 1.0))
    products = tuple(
        Product(code=code, **{**one, "cycle_s": {int(number): round(seconds * pace) for number, seconds in one["cycle_s"].items()}})
        for code, one in raw["products"].items()
    )
    mess: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.get("mess", {}).items()}
    return Scenario(
        name=name,
        seed=int(raw["seed"] if seed is None else seed),
        history_days=int(raw["history_days"]),
        start_ms=parse_iso_ms(raw["start"]) if "start" in raw else None,
        zone=raw["site"]["zone"],
        site=raw["site"],
        lines=_tuples(raw["lines"], Line),
        machines=machines,
        operations=operations,
        products=products,
        components=_tuples(raw["components"], Component),
        stations=_tuples(raw["stations"], Station),
        people=_tuples(raw["people"], Person),
        shifts=_shifts(raw["shifts"]),
        reasons=tuple(raw["reasons"]),
        alarms=_tuples(raw["alarms"], Alarm),
        meters=_tuples(raw["meters"], MeterSpec),
        mess=Mess() if calm else Mess(**mess),
        orders=OrderBook(**({k: v for k, v in raw["orders"].items() if not (calm and k.endswith("_per_day"))})),
        setup_same_s=int(raw["setup"]["same_family_s"]),
        setup_other_s=int(raw["setup"]["other_family_s"]),
        setup_factor=dict(raw["setup"]["factor"]),
        pace=pace,
        calm=calm,
        extra=raw.get("extra", {}),
    )
