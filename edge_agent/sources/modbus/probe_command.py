"""`gemba-edge probe-meter`: what stands at a Modbus address, how sure that is and why, and the lines for the config. Prints for people."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys

from edge_agent.errors import ConfigInvalid
from edge_agent.sources.modbus import probe
from edge_agent.sources.modbus.config import ModbusConfig
from edge_agent.sources.modbus.meters import SUNSPEC, MeterModel, models
from edge_agent.sources.modbus.plausible import Candidate
from edge_agent.sources.modbus.source import link_of

_HOST = re.compile(r"(?P<host>\[[^\]]+\]|[^:]+)(?::(?P<port>\d{1,5}))?")
_SURE = {"sure": ("sure", "确定"), "likely": ("likely", "很可能"), "unsure": ("not sure", "不确定")}
REASONS = 8


def run(given: argparse.Namespace, lang: str) -> int:
    """0 when at least one meter was found. Raises ConfigInvalid, SourceLost."""
    config, units, library = _config(given), _units(given), _library(given.models)
    found = asyncio.run(_probe(config, units, library, given.seconds, lang))
    known = [one for one in found if one.verdict is not None or one.block is not None]
    for one in found:
        _say(_words(one, lang))
    if known:
        _say("\n" + ("Put this into the config:" if lang == "en" else "写入配置:") + "\n\n" + lines(config, known, lang))
    elif len(found) > 1:
        _say("No meter was found." if lang == "en" else "没有找到电表。")
    return 0 if known else 1


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _config(given: argparse.Namespace) -> ModbusConfig:
    """The source of the bus, checked as in a config file; its one device is a stand-in."""
    if (given.where is None) == (given.serial is None):
        raise ConfigInvalid(
            "Say where the meter is.", "请指明电表位置。", "Write HOST[:PORT], or --serial DEVICE.", "请写 主机[:端口] 或 --serial 串口。"
        )
    raw: dict[str, object] = {"type": "modbus", "timeout_s": given.timeout, "devices": {"M": {}}}
    if given.serial is not None:
        raw |= {"transport": "serial", "serial": given.serial, "baud_rate": given.baud, "parity": given.parity, "stop_bits": given.stop_bits}
    else:
        parts = _HOST.fullmatch(given.where)
        if parts is None or not 1 <= int(parts["port"] or 502) <= 65535:
            raise ConfigInvalid(
                f"{given.where!r} is no HOST[:PORT].", f"{given.where!r} 不是 主机[:端口]。", "For example 192.0.2.20:502.", "例如 192.0.2.20:502。"
            )
        raw |= {"host": parts["host"].strip("[]"), "port": int(parts["port"] or 502)}
        if given.rtu_over_tcp:
            raw["transport"] = "rtu_over_tcp"
    try:
        return ModbusConfig.model_validate(raw)
    except ValueError as error:
        first = str(error).splitlines()
        raise ConfigInvalid(f"{': '.join(line.strip() for line in first[1:3])}.", f"{first[1].strip()}:取值不对。") from error


def _units(given: argparse.Namespace) -> list[int]:
    text = given.units if given.units is not None else str(1 if given.unit is None else given.unit)
    out: list[int] = []
    for part in text.split(","):
        low, _, high = part.strip().partition("-")
        if not low.isdigit() or (high and not high.isdigit()) or not 0 <= int(low) <= int(high or low) <= 255:
            raise ConfigInvalid(
                f"{text!r} are no unit ids.", f"{text!r} 不是从站号。", "Write 3, 1-10 or 1,4,7 (0 to 255).", "请写 3、1-10 或 1,4,7(0 至 255)。"
            )
        out += range(int(low), int(high or low) + 1)
    return list(dict.fromkeys(out))


def _library(names: list[str] | None) -> dict[str, MeterModel]:
    known = models()
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise ConfigInvalid(
            f"There is no meter model {', '.join(unknown)}.",
            f"没有电表型号 {'、'.join(unknown)}。",
            f"There are {', '.join(sorted(known))}.",
            f"现有:{'、'.join(sorted(known))}。",
        )
    return {name: known[name] for name in names} if names else known


async def _probe(config: ModbusConfig, units: list[int], library: dict[str, MeterModel], seconds: float, lang: str) -> list[probe.Found]:
    link = link_of(config)
    try:
        return [await probe.probe_unit(link, unit, library, seconds, _progress(unit, lang)) for unit in units]
    finally:
        await link.close()
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")


def _progress(unit: int, lang: str) -> probe.Progress:
    """One line on a terminal, written over again and again; nothing in a pipe."""

    def progress(en: str, zh: str, done: int, total: int) -> None:
        if sys.stderr.isatty():
            share = f" {done}/{total}" if total > 1 else ""
            sys.stderr.write(f"\r\033[Kunit {unit}: {en}{share}" if lang == "en" else f"\r\033[K从站 {unit}:{zh}{share}")
            sys.stderr.flush()

    return progress


# --- words ------------------------------------------------------------------------------------------------------------------------------------
def _words(found: probe.Found, lang: str) -> str:
    en = lang == "en"
    head = f"unit {found.unit}" if en else f"从站 {found.unit}"
    if found.block is not None:
        shown = "\n".join(f"  {key} = {value:.6g}" for key, value in found.values.items())
        return f"{head}: SunSpec {found.block.model}, {found.block.identity or '-'} ({_SURE['sure'][not en]})\n{shown}"
    if found.error:
        return f"{head}: {'no answer' if en else '无应答'} ({found.error})"
    if found.verdict is None:
        return f"{head}: " + (
            "it answers, but no model of the library fits. Take the registers from its manual, and tell us."
            if en
            else "有应答,但型号库中没有匹配的型号。请按手册填写寄存器,并告知我们。"
        )
    verdict, best = found.verdict, found.verdict.best
    lines_ = [f"{head}: {best.candidate.model.name} ({best.candidate.name}), {_SURE[verdict.sure][not en]}"]
    lines_ += [f"  {'+' if points > 0 else '-' if points < 0 else ' '} {en_ if en else zh}" for points, en_, zh in _telling(best.reasons)]
    changed = _changes(best.candidate)
    if changed:
        lines_.append(f"  {'other than documented' if en else '与手册不同'}: {', '.join(changed)}")
    if verdict.alike:
        lines_.append(f"  {'has the same registers' if en else '寄存器相同的型号'}: {', '.join(verdict.alike)}")
    if verdict.next is not None and verdict.next.points > 0:
        rival = verdict.next.candidate
        lines_.append(
            f"  {'next best' if en else '次优'}: {' '.join([rival.name, *_changes(rival)])} "
            f"({verdict.next.points:.1f} {'points against' if en else '分,对'} {best.points:.1f})"
        )
    return "\n".join(lines_)


def _telling(reasons: list[tuple[float, str, str]]) -> list[tuple[float, str, str]]:
    """What weighs most, in the order of the checks."""
    weighty = sorted(reasons, key=lambda one: -abs(one[0]))[:REASONS]
    return [one for one in reasons if one in weighty]


def _changes(candidate: Candidate) -> list[str]:
    """What a config must say beside the model."""
    table, order, offset = candidate.as_documented
    return [
        *([] if table else [f'table = "{candidate.table}"']),
        *([] if order else [f'word_order = "{candidate.word_order}"']),
        *([] if offset else [f"register_offset = {candidate.offset}"]),
    ]


def lines(config: ModbusConfig, found: list[probe.Found], lang: str) -> str:
    """The source with its meters as config lines; those that are not sure are commented out."""
    out = ["[sources.METERS]", 'type = "modbus"']
    if config.transport == "serial":
        out += ['transport = "serial"', f'serial = "{config.serial}"', f"baud_rate = {config.baud_rate}", f'parity = "{config.parity}"']
        out += [f"stop_bits = {config.stop_bits}"]
    else:
        out += [f'transport = "{config.transport}"'] if config.transport != "tcp" else []
        out += [f'host = "{config.host}"', f"port = {config.port}"]
    note = "# the load's rated power: bounds what the energy may jump" if lang == "en" else "# 负载额定功率,限制电量跳变"
    doubt = "# not sure: compare with the display before you use it" if lang == "en" else "# 不确定:请先与表计显示核对"
    certain = [one for one in found if one.verdict is None or one.verdict.sure != "unsure"]
    for one in [*certain, *(other for other in found if other not in certain)]:
        name = SUNSPEC if one.verdict is None else one.verdict.best.candidate.name
        mine = [f"[sources.METERS.devices.M-{one.unit}]", 'kind = "meter"', f"unit = {one.unit}", f'model = "{name}"']
        mine += [] if one.verdict is None else _changes(one.verdict.best.candidate)
        mine += [f"# rated_power_w = 30000  {note}"]
        out += ["", *(mine if one in certain else [doubt, *(f"# {line}" for line in mine)])]
    if not certain:
        out = [line if line.startswith("#") or not line else f"# {line}" for line in out]
    return "\n".join(out)
