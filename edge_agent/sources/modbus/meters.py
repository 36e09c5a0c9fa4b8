"""Meter models: register maps as data (`meters/*.toml`), merged with what the config says about the device."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from edge_agent.config_model import COUNTERS
from edge_agent.config_words import said
from edge_agent.errors import ConfigInvalid
from edge_agent.pipeline import ratios
from edge_agent.sources.modbus import codec, sunspec
from edge_agent.sources.modbus.config import ModbusDevice, ModbusMetric

SUNSPEC = "sunspec"


class MeterModel(BaseModel):
    """One file of `meters/`: addresses are zero based on the wire, scales lead to SI units."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    maker: str
    source: str
    second_source: str = ""  # an independent one that says the same; "" when there is none: less sure
    note: str = ""
    metrics: dict[str, ModbusMetric]


@cache
def models() -> dict[str, MeterModel]:
    """Every shipped model by its file's name."""
    out = {}
    for file in resources.files("edge_agent.sources.modbus").joinpath("meters").iterdir():
        if file.name.endswith(".toml"):
            out[file.name.removesuffix(".toml")] = MeterModel.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    return out


def metrics_of(device_id: str, device: ModbusDevice) -> dict[str, ModbusMetric]:
    """The model's metrics, `only` the wanted ones, with the config's settings on top, its word order, ratios and signs. Raises ConfigInvalid.

    A SunSpec device's metrics have no register: it says them itself (sunspec.py).
    """
    merged = {} if device.model is None else _of_the_model(device_id, device.model, device)
    for key, metric in device.metrics.items():
        merged[key] = merged.get(key, {}) | metric.model_dump(by_alias=True, exclude_unset=True)
    out = {}
    for key, raw in merged.items():
        if raw.get("register") is None and not (device.model == SUNSPEC and key in sunspec.KEYS):
            raise ConfigInvalid(
                f"Device {device_id}, metric {key}: register is missing.",
                f"设备 {device_id},{key}:缺少 register。",
                "Write its zero-based address.",
                "请写从 0 起的地址。",
            )
        raw["scale"] = raw.get("scale", 1.0) * ratios.ratio(key, device.ct_ratio, device.pt_ratio) * ratios.sign(key, device.invert)
        if key in COUNTERS and raw.get("modulus") is None and raw.get("width_bits") is None:
            raw["width_bits"] = codec.rollover_bits(raw.get("type") or "float32")
        try:
            out[key] = ModbusMetric.model_validate(raw)
        except ValidationError as error:
            first = error.errors()[0]
            (en, zh), where = said(first), ".".join(map(str, first["loc"]))
            raise ConfigInvalid(
                f"Device {device_id}, metric {key}: {where}: {en}.",
                f"设备 {device_id},{key}:{where}:{zh}。",
                "`gemba-edge sample-config --type modbus` shows every key.",
                "各项见 `gemba-edge sample-config --type modbus`。",
            ) from error
    return out


def _of_the_model(device_id: str, name: str, device: ModbusDevice) -> dict[str, dict[str, Any]]:
    """Metric key -> its settings in the model's file, under the name it has for us (see ratios.counterpart). Raises ConfigInvalid."""
    known = models()
    if name != SUNSPEC and name not in known:
        choice = [*sorted(known), SUNSPEC]
        raise ConfigInvalid(
            f"Device {device_id}: there is no meter model {name!r}.",
            f"设备 {device_id}:没有电表型号 {name!r}。",
            f"Choose one of {', '.join(choice)}, or write `metrics` with registers; `probe-meter` finds out.",
            f"可选:{'、'.join(choice)},或在 `metrics` 中写寄存器;可用 `probe-meter` 识别。",
        )
    has = {key: ModbusMetric.model_validate({}) for key in sunspec.KEYS} if name == SUNSPEC else known[name].metrics
    unknown = sorted(set(device.only or ()) - {ratios.counterpart(key, device.invert) for key in has})
    if unknown:
        raise ConfigInvalid(
            f"Device {device_id}: {name} has no {', '.join(unknown)}.",
            f"设备 {device_id}:{name} 没有 {'、'.join(unknown)}。",
            f"It has {', '.join(has)}.",
            f"可选:{'、'.join(has)}。",
        )
    out = {}
    for theirs, metric in has.items():
        key = ratios.counterpart(theirs, device.invert)
        if device.only is None or key in device.only:
            out[key] = metric.model_dump(by_alias=True, exclude_unset=True)
            overrides = {"word_order": device.word_order, "table": device.table}
            out[key].update({name: given for name, given in overrides.items() if given is not None})
            if metric.register_ is not None:
                out[key]["register"] = max(0, metric.register_ + device.register_offset)
    return out
