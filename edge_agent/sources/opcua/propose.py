"""From guesses to a config file: variables grouped to devices, one line a metric with why and how sure. Pure: text out, no connection.

A device is the object whose variables belong together: objects are opened as long as there is more than one state, piece counter or energy register
below them. What stands flat is grouped by the part of its name before the last dot. Lines that are not sure are there, but
commented out: a wrong line would count wrong, a missing one only asks.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edge_agent.config_model import ROLES as METRIC_ROLES
from edge_agent.sources.opcua.guess import MAYBE, SURE, TEXT, WHOLE, Guess, Seen, behaviour, state_of, tokens

ANCHORS = ("state", "good", "energy")  # what a device has one of
SAMPLES_MAX = 40
_KEY = {"energy": "energy_import_wh", "power": "power_w", "cycle_s": "cycle_s"}
_STAYS = frozenset({2, 4, 5, 6, 9, 11, 17})  # Stopped Idle Suspended Execute Aborted Held Complete
_ROLE_KEYS = ("state", "alarm", "order", "operation", "good", "scrap", "energy", "power", "cycle_s")
_FOLD = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A variable with its guess. `path`: names from Objects down to it; `node` as in the config (`nsu=…;s=…`)."""

    path: tuple[str, ...]
    node: str
    seen: Seen
    guess: Guess


@dataclass(frozen=True, slots=True)
class Model:
    """An object that a companion model describes whole: no line by line guesses below it."""

    path: tuple[str, ...]
    node: str
    model: str


@dataclass(frozen=True, slots=True)
class Line:
    """One metric of a device; `is_sure` lines are active, the others commented out."""

    key: str
    toml: str
    why: str
    is_sure: bool


@dataclass(slots=True)
class Device:
    id: str
    path: tuple[str, ...]
    kind: str
    namespace: str
    lines: list[Line] = field(default_factory=list)
    model: Model | None = None

    @property
    def is_sure(self) -> bool:
        return self.model is not None or any(line.is_sure for line in self.lines)


# --- which variables belong together ---------------------------------------------------------------------------------------------
def devices_of(candidates: Sequence[Candidate], models: Sequence[Model] = ()) -> dict[tuple[str, ...], list[Candidate]]:
    """Path of the device's object (or the prefix of flat names) -> its variables."""
    out: dict[tuple[str, ...], list[Candidate]] = {}
    rest = [one for one in candidates if not any(one.path[: len(model.path)] == model.path for model in models)]
    flat = [one for one in rest if len(one.path) == 1]
    for one in flat:
        out.setdefault(_prefix(one.path[0], [other.path[0] for other in flat]), []).append(one)
    deep = [one for one in rest if len(one.path) > 1]
    for top in dict.fromkeys(one.path[:1] for one in deep):
        _group(top, [one for one in deep if one.path[:1] == top], out)
    return out


def _prefix(name: str, names: Sequence[str]) -> tuple[str, ...]:
    """`SAW-01.State` -> SAW-01; `Press1_Good` -> Press1 when others share it; else nothing in common."""
    for mark in (".", "/", "_"):
        head, found, _ = name.rpartition(mark) if mark != "_" else name.partition(mark)
        if found and head and sum(other.startswith(head + mark) for other in names) > 1:
            return (head,)
    return ()


def _group(at: tuple[str, ...], mine: Sequence[Candidate], out: dict[tuple[str, ...], list[Candidate]]) -> None:
    children: dict[tuple[str, ...], list[Candidate]] = {}
    own = []
    for one in mine:
        if len(one.path) > len(at) + 1:
            children.setdefault(one.path[: len(at) + 1], []).append(one)
        else:
            own.append(one)
    if not children:
        _group_flat(at, own, out)
    elif any(sum(_has([one], anchor) for one in mine) > 1 for anchor in ANCHORS):
        if own:
            _group_flat(at, own, out)
        for path, child in children.items():
            _group(path, child, out)
    else:
        out.setdefault(at, []).extend(mine)


def _group_flat(at: tuple[str, ...], own: Sequence[Candidate], out: dict[tuple[str, ...], list[Candidate]]) -> None:
    """Variables side by side: one device, or several by the prefixes of their names when an anchor is there more than once."""
    names = [one.path[-1] for one in own]
    several = any(sum(_has([one], anchor) for one in own) > 1 for anchor in ANCHORS)
    for one in own:
        prefix = _prefix(one.path[-1], names) if several else ()
        out.setdefault((*at, *prefix), []).append(one)


def _has(candidates: Sequence[Candidate], anchor: str) -> bool:
    return any(one.guess.meaning == anchor and one.guess.sure >= SURE for one in candidates)


# --- one device ------------------------------------------------------------------------------------------------------------------
def propose(candidates: Sequence[Candidate], models: Sequence[Model] = (), lang: str = "en") -> list[Device]:
    """Devices worth a table, the surest first within the order of the server."""
    taken: set[str] = set()
    out = []
    for model in models:
        namespace = model.node[4:].partition(";")[0]
        out.append(Device(_device_id(model.path, taken), model.path, "machine", namespace, model=model))
    for path, mine in devices_of(candidates, models).items():
        namespaces = [one.node[4:].partition(";")[0] for one in mine]
        device = Device(_device_id(path, taken, taking=False), path, "machine", max(set(namespaces), key=namespaces.count))
        _roles(device, mine, lang)
        _samples(device, mine, lang)
        meanings = {line.key for line in device.lines if line.is_sure}
        if meanings & {"energy_import_wh", "power_w"} and not meanings & {"state", "good", "scrap", "order"}:
            device.kind = "meter"
        if device.lines:
            taken.add(device.id.lower())
            out.append(device)
    return out


def _device_id(path: tuple[str, ...], taken: set[str], *, taking: bool = True) -> str:
    raw = path[-1] if path else "PLC"
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", raw.translate(_FOLD)).strip("-.")[:60] or f"M-{len(taken) + 1}"
    made, number = plain, 2
    while made.lower() in taken:
        made, number = f"{plain}-{number}", number + 1
    if taking:
        taken.add(made.lower())
    return made


def _roles(device: Device, mine: Sequence[Candidate], lang: str) -> None:
    for role in _ROLE_KEYS:
        found = sorted((one for one in mine if one.guess.meaning == role and one.guess.sure >= MAYBE), key=lambda one: -one.guess.sure)
        for number, one in enumerate(found[:4]):
            is_sure = number == 0 and one.guess.sure >= SURE
            more, doubt = _settings(role, one, lang)
            why = f"{round(one.guess.sure * 100)} % {'sure' if lang == 'en' else '把握'}: {_reasons(one.guess, lang)}"
            if number:
                why += "; another candidate" if lang == "en" else ";另一候选"
            if doubt:
                is_sure, why = False, f"{why}. {doubt}"
            key = _KEY.get(role, role)
            device.lines.append(Line(key, f"{key} = {{ {_node(one, device)}{more} }}", why, is_sure))


def _reasons(found: Guess, lang: str) -> str:
    return (", " if lang == "en" else ",").join(en if lang == "en" else zh for en, zh in found.why) or "-"


def _node(one: Candidate, device: Device) -> str:
    uri, _, short = one.node[4:].partition(";")
    return f"node = {json.dumps(short if uri == device.namespace else one.node, ensure_ascii=False)}"


def _settings(role: str, one: Candidate, lang: str) -> tuple[str, str]:
    """(further keys of the line, why it must be looked at before it is used)"""
    if role == "state":
        return _states(one, lang)
    more = ""
    if role in ("good", "scrap"):
        width = {"UInt16": 16, "UInt32": 32}.get(one.seen.datatype)
        more = f", width_bits = {width}" if width else ""
    if one.guess.factor != 1.0:
        more += f", scale = {one.guess.factor:g}" if one.guess.factor < 1 else f", scale = {one.guess.factor:.1f}"
    return more, ""


def _states(one: Candidate, lang: str) -> tuple[str, str]:
    codes: dict[str, str | None] = {}
    kind = behaviour(one.seen.datatype, one.seen.samples).kind
    if one.seen.enum and kind == WHOLE:
        codes = {str(number): state_of(text) for number, text in one.seen.enum.items()}
    elif kind == TEXT:
        codes = {str(text): state_of(str(text)) for text in one.seen.samples if text}
    elif _is_packml(one.seen):
        return ', states = "packml"', ""
    known = {code: state for code, state in codes.items() if state is not None}
    if len(known) >= min(2, max(1, len(codes))) and known:
        table = ", ".join(f"{json.dumps(code, ensure_ascii=False)} = {json.dumps(state)}" for code, state in known.items())
        return f", states = {{ {table} }}", ""
    met = sorted({int(value) for value in one.seen.samples if isinstance(value, int)})[:8]
    table = ", ".join(f'"{code}" = "idle"' for code in met) or '"0" = "idle"'
    doubt = "Say what each code means (these were met)" if lang == "en" else "请填写每个代码的含义(已见到的代码)"
    return f", states = {{ {table} }}", doubt


def _is_packml(seen: Seen) -> bool:
    """PackTags (ISA-TR88.00.02): Status.StateCurrent, numbers 0 to 17."""
    words = {word for name in (seen.name, *seen.parents) for word in tokens(name)}
    numbers = [value for value in seen.samples if isinstance(value, int)]
    if "packml" in words:
        return all(0 <= number <= 17 for number in numbers)
    # vendors call theirs StateCurrent too, often 0, 10, 20 …: only numbers in which a PackML machine stays are believed
    return {"state", "current"} <= words and bool(numbers) and set(numbers) <= _STAYS


# --- plain samples ---------------------------------------------------------------------------------------------------------------
def _samples(device: Device, mine: Sequence[Candidate], lang: str) -> None:
    taken = {line.key for line in device.lines}
    found = [one for one in mine if one.guess.meaning not in ("", *_ROLE_KEYS) and one.guess.sure > 0]
    for one in sorted(found, key=lambda each: -each.guess.sure)[:SAMPLES_MAX]:
        key = _sample_key(one, taken)
        taken.add(key)
        known = one.guess.meaning != "sample"
        is_sure = (known and one.guess.sure >= SURE) or bool(one.seen.unit)
        scale = "" if one.guess.factor == 1.0 else f", scale = {one.guess.factor:g}"
        why = _reasons(one.guess, lang)
        device.lines.append(Line(key, f"{key} = {{ {_node(one, device)}{scale} }}", why, is_sure))


def _sample_key(one: Candidate, taken: set[str]) -> str:
    plain = unicodedata.normalize("NFKD", one.path[-1].translate(_FOLD)).encode("ascii", "ignore").decode()
    parts = [part for part in tokens(plain) if part.isascii()]
    if parts and not parts[0][0].isalpha():
        parts.insert(0, "v")
    key = "_".join(parts) or (one.guess.meaning if one.guess.meaning != "sample" else "value")
    suffix = one.guess.suffix
    if suffix and not key.endswith(f"_{suffix}"):
        key = f"{key}_{suffix}"
    made, number = key[:60], 2
    while made in taken or made in METRIC_ROLES or made in ("watched_until", "gap", "samples_gap", "good_total", "scrap_total", "state_raw"):
        made, number = f"{key[:56]}_{number}", number + 1
    return made


# --- the file --------------------------------------------------------------------------------------------------------------------
_HEAD = {
    "en": """# Proposed by `gemba-edge browse --propose` from what {url} shows. Read it through; lines with # are not sure enough to count on.
# Then: gemba-edge check-config FILE, gemba-edge read-once --config FILE, gemba-edge run --config FILE""",
    "zh": """# 由 `gemba-edge browse --propose` 根据 {url} 的内容生成。请逐行核对;带 # 的行把握不足。
# 然后:gemba-edge check-config 文件,gemba-edge read-once --config 文件,gemba-edge run --config 文件""",
}


def file_text(devices: Sequence[Device], source: str, keys: Mapping[str, str], lang: str = "en", start: str = "") -> str:
    """The whole file, or what follows `start`, which says who this box is. `keys`: TOML literals of the source's own table."""
    url = json.loads(keys["url"])
    whose = [
        'group = "PLANT"  # ' + ("the site, as the server knows it" if lang == "en" else "工厂,与服务器一致"),
        'edge = "EDGE-1"  # ' + ("this box" if lang == "en" else "本网关"),
        "",
        "[[brokers]]",
        'host = "127.0.0.1"  # ' + {"en": "or credentials_file = the file the server made", "zh": "或 credentials_file = 服务器生成的文件"}[lang],
        "",
    ]
    out = [
        *([""] if start else []),
        _HEAD[lang].format(url=url),
        "",
        *([] if start else whose),
        f"[sources.{source}]",
        'type = "opcua"',
        *(f"{key} = {value}" for key, value in keys.items()),
    ]
    for device in devices:
        out += ["", *_table(device, source, lang)]
    return "\n".join(out) + "\n"


def _table(device: Device, source: str, lang: str) -> list[str]:
    place = "/".join(device.path) or "Objects"
    mark = "" if device.is_sure else "# "
    table = f"sources.{source}.devices.{_toml_key(device.id)}"
    out = [f"# {place}", f"{mark}[{table}]", f'{mark}kind = "{device.kind}"']
    if device.model is not None:
        said = "a companion model describes it; its metrics are found at connect" if lang == "en" else "由配套规范描述,连接时自动取得各量"
        return [*out, f"# {said}", f'model = "{device.model.model}"', f"root = {json.dumps(device.model.node, ensure_ascii=False)}"]
    out += [f"{mark}namespace = {json.dumps(device.namespace)}", f"{mark}[{table}.metrics]"]
    for line in device.lines:
        out += [f"# {line.why}", f"{'' if line.is_sure else '# '}{line.toml}"]
    return out


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)
