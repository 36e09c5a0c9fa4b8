"""What a scenario means to the product: the plant model to PUT, the people, and the edge agents' configuration files."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from simulators.meters import MAPS
from simulators.physics.machine import PACKML, VENDOR
from simulators.scenario import MachineSpec, MeterSpec, Person, Scenario

ROLES = {
    "operator": [{"role": "operator"}],
    "inspector": [{"role": "inspector"}],
    "supervisor": [{"role": "supervisor"}],
    "planner": [{"role": "planner"}],
    "manager": [{"role": "manager"}],
    "energy": [{"role": "energy"}],
}


def badge(person: Person) -> str:
    """The number on a person's badge."""
    return f"HT-{person.code}-{_digits(person, 'badge', 6)}"


def plant_model(scenario: Scenario) -> dict[str, Any]:
    """The body of PUT /plant."""
    machines = []
    for sequence, spec in enumerate(scenario.machines, 1):
        machines.append(
            {
                "code": spec.code,
                "name_zh": spec.name_zh,
                "name_en": spec.name_en,
                "line": spec.line,
                "sequence": sequence * 10,
                "machine_class": spec.machine_class,
                "counting": scenario.operation_of_machine(spec.code).counting,
                "micro_stop_s": spec.micro_stop_s,
                "rated_power_w": spec.rated_power_w,
                "edge": scenario.line(spec.line).edge,
                "device": spec.code,
            }
        )
    shifts = [
        {
            "code": s.code,
            "name_zh": s.name_zh,
            "name_en": s.name_en,
            "start": s.start,
            "end": s.end,
            "weekdays": [1, 2, 3, 4, 5, 6, 7],
            "breaks": [{"start": begin, "end": end} for begin, end in s.breaks],
        }
        for s in scenario.shifts
    ]
    site = scenario.site
    return {
        "site": {
            **{key: site[key] for key in ("code", "name_zh", "name_en", "zone", "currency")},
            "production_day_start": scenario.shifts[0].start,
        },
        "lines": [{"code": x.code, "name_zh": x.name_zh, "name_en": x.name_en, "oee_target": x.oee_target} for x in scenario.lines],
        "machines": machines,
        "stations": [{"code": s.code, "name_zh": s.name_zh, "name_en": s.name_en, "machines": list(s.machines)} for s in scenario.stations],
        "meters": [_meter(scenario, meter) for meter in scenario.meters],
        "shifts": shifts,
        "reasons": [dict(reason) for reason in scenario.reasons],
        "alarms": [{"code": a.code, "machine_class": a.machine_class, "zh": a.zh, "en": a.en, "reason": a.reason} for a in scenario.alarms],
        "scrap_order": [reason["code"] for reason in scenario.reasons if reason["kind"] == "scrap"],
    }


def _meter(scenario: Scenario, meter: MeterSpec) -> dict[str, Any]:
    line = scenario.meter_line(meter)
    record: dict[str, Any] = {
        "code": meter.code,
        "name_zh": meter.name_zh or f"{scenario.machine(meter.machine).name_zh} 电表",
        "name_en": meter.name_en or f"Meter of {scenario.machine(meter.machine).name_en}",
        "kind": meter.kind,
        "rated_power_w": rated_power(scenario, meter),
        "edge": scenario.line(line).edge,
        "device": meter.code,
    }
    if meter.machine:
        record["machine"] = meter.machine
    if meter.kind != "incomer":
        record["line"] = line
    return record


def rated_power(scenario: Scenario, meter: MeterSpec) -> int:
    return meter.rated_power_w or scenario.machine(meter.machine).rated_power_w


def people(scenario: Scenario) -> list[dict[str, Any]]:
    """Bodies for POST /people (without the act's envelope)."""
    records = []
    for person in scenario.people:
        record: dict[str, Any] = {
            "code": person.code,
            "name": person.name,
            "lang": person.lang,
            "roles": ROLES[person.role],
            "active": True,
            "badge": badge(person),
            "pin": pin(person),
        }
        if person.user:
            record |= {"user": person.user, "password": password(person)}
        records.append(record)
    return records


def password(person: Person) -> str:
    return f"{person.user}-{_digits(person, 'password', 8)}"


def pin(person: Person) -> str:
    return _digits(person, "pin", 6)


def _digits(person: Person, what: str, length: int) -> str:
    """Digits that belong to a person in this run: no demo has the secrets of another."""
    return f"{int(hashlib.sha256(f'{_run_secret()}/{what}/{person.code}'.encode()).hexdigest(), 16) % 10**length:0{length}d}"


@cache
def _run_secret() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class EdgeAddresses:
    """Where one edge agent finds its broker, its PLC and its meters."""

    broker_host: str
    broker_port: int
    broker_user: str
    broker_password_file: Path
    plc_url: str
    plc_user: str
    plc_password_file: Path
    modbus_port: int
    host_id: str = "gemba"


def units(scenario: Scenario, line: str) -> dict[str, int]:
    """Modbus unit id of every meter behind a line's gateway."""
    return {meter.code: unit for unit, meter in enumerate((m for m in scenario.meters if scenario.meter_line(m) == line), 1)}


def edge_config(scenario: Scenario, line_code: str, where: EdgeAddresses, speed: float, buffer: Path) -> str:
    """The TOML file of one edge agent. Plant seconds that would be too short in real time at this speed are stretched."""
    line = scenario.line(line_code)
    out = [
        "# Made by the simulators from the scenario.",
        f"group = {_s(scenario.site['code'])}",
        f"edge = {_s(line.edge)}",
        f"host = {_s(where.host_id)}",
        "",
        "[[brokers]]",
        f"host = {_s(where.broker_host)}",
        f"port = {where.broker_port}",
        f"user = {_s(where.broker_user)}",
        f"password_file = {_s(where.broker_password_file)}",
        "",
        "[buffer]",
        f"path = {_s(buffer)}",
        "",
        "[delivery]",
        f"health_s = {1.0 if speed > 1 else 2.0}",
        "",
        f"[sources.PLC-{line_code}]",
        'type = "opcua"',
        f"url = {_s(where.plc_url)}",
        f"user = {_s(where.plc_user)}",
        f"password_file = {_s(where.plc_password_file)}",
        'trust = "first_use"',
        f'pki_dir = "pki-{line.edge}"',
        "publishing_interval_s = 0.1",
        f"settle_s = {settle_s(speed)}",
    ]
    for spec in scenario.machines:
        if spec.line == line_code:
            out += _machine_toml(scenario, spec, line.namespace)
    period = max(10.0, 5.0 * round(0.25 * speed / 5.0))
    out += [
        "",
        f"[sources.METERS-{line_code}]",
        'type = "modbus"',
        'host = "127.0.0.1"',
        f"port = {where.modbus_port}",
        f"period_s = {period}",
        f"dead_device_skip_s = {1.0 if speed > 1 else 30.0}",
        f"align = {'true' if speed <= 1 else 'false'}",  # on a fast clock a reading's own moment is truer than the tick it was due at
    ]
    for code, unit in units(scenario, line_code).items():
        out += _meter_toml(scenario, next(m for m in scenario.meters if m.code == code), line_code, unit)
    return "\n".join(out) + "\n"


def _s(value: object) -> str:
    return json.dumps(str(value), ensure_ascii=False)


def _machine_toml(scenario: Scenario, spec: MachineSpec, namespace: str) -> list[str]:
    place = f"sources.PLC-{spec.line}.devices.{spec.code}"
    codes = VENDOR if spec.states == "vendor" else PACKML
    states = ", ".join(f'"{number}" = "{state}"' for state, number in codes.items())
    quickest = min(p.cycle_s[scenario.operation_of_machine(spec.code).number] for p in scenario.products) / 3
    out = [
        "",
        f"[{place}]",
        'kind = "machine"',
        f"namespace = {_s(namespace)}",
        f"node_prefix = {_s(spec.code + '.')}",
        f"min_cycle_s = {quickest:.1f}",
        f"[{place}.metrics]",
        f'state = {{ node = "s=StateCurrent", states = {{ {states} }} }}',
        'alarm = { node = "s=AlarmCode" }',
        'cycle_s = { node = "s=CycleTime" }',
    ]
    if scenario.operation_of_machine(spec.code).counting == "machine":
        width = 16 if spec.counter == "u16" else 32
        more = ', decrease = "rollover"' if spec.counter == "u16" else ""
        if spec.counter == "per_order":
            more = ', decrease = "reset", resets_with_order = true'
        elif not spec.retentive:
            more = ', decrease = "reset"'
        out.append(f'good = {{ node = "s=GoodCount", width_bits = {width}{more} }}')
        out.append(f'scrap = {{ node = "s=ScrapCount", width_bits = {width}{more} }}')
    if spec.order_tag:
        out += ['order = { node = "s=OrderId" }', 'operation = { node = "s=OperationId" }']
    if spec.wear_pieces:
        out.append('tool_wear = { node = "s=ToolWear" }')
    return out


def settle_s(speed: float) -> float:
    """Real seconds the agent waits for stragglers before it sorts. On a fast clock the simulated PLC itself may be late when the machine is busy."""
    return 2.0 if speed > 1 else 0.5


METRICS = ("power_w", "power_factor", "voltage_l1_v", "current_l1_a", "energy_import_wh", "energy_reactive_varh")
BUILT_IN = ("eastron_sdm630", "schneider_iem3000", "siemens_pac3200")


def _meter_toml(scenario: Scenario, meter: MeterSpec, line_code: str, unit: int) -> list[str]:
    place = f"sources.METERS-{line_code}.devices.{meter.code}"
    chosen = MAPS[meter.make]
    out = ["", f"[{place}]", 'kind = "meter"', f"unit = {unit}", f"rated_power_w = {rated_power(scenario, meter)}"]
    if meter.make in BUILT_IN:
        return [*out, f"model = {_s(meter.make)}", f"only = {json.dumps(METRICS)}"]
    out.append(f"[{place}.metrics]")  # a make the agent has no model for: its registers are configured
    for name in METRICS:
        register = chosen.register(name)
        out.append(
            f"{name} = {{ register = {register.address}, table = {_s(chosen.table)}, type = {_s(register.type)}, "
            f"word_order = {_s(chosen.word_order)}, scale = {register.unit:g} }}"
        )
    return out
