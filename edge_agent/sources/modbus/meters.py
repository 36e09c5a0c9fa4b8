"""Meter models: register maps as data (`meters/*.toml`), merged with what the config says about the device."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from edge_agent.errors import ConfigInvalid
from edge_agent.sources.modbus.config import ModbusDevice, ModbusMetric


class MeterModel(BaseModel):
    """One file of `meters/`: addresses are zero based on the wire, scales lead to SI units."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    maker: str
    source: str
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
    """The model's metrics, `only` the wanted ones, with the config's settings on top and its word order. Raises ConfigInvalid."""
    merged: dict[str, dict[str, Any]] = {}
    if device.model is not None:
        known = models()
        if device.model not in known:
            raise ConfigInvalid(
                f"Device {device_id}: there is no meter model {device.model!r}.",
                f"设备 {device_id}:没有电表型号 {device.model!r}。",
                f"Choose one of {', '.join(sorted(known))}, or write `metrics` with registers.",
                f"可选:{'、'.join(sorted(known))},或在 `metrics` 中写寄存器。",
            )
        model = known[device.model]
        unknown = sorted(set(device.only or ()) - set(model.metrics))
        if unknown:
            raise ConfigInvalid(
                f"Device {device_id}: {device.model} has no {', '.join(unknown)}.",
                f"设备 {device_id}:{device.model} 没有 {'、'.join(unknown)}。",
                f"It has {', '.join(model.metrics)}.",
                f"可选:{'、'.join(model.metrics)}。",
            )
        for key, metric in model.metrics.items():
            if device.only is None or key in device.only:
                merged[key] = metric.model_dump(by_alias=True, exclude_unset=True)
                if device.word_order is not None:
                    merged[key]["word_order"] = device.word_order
    for key, metric in device.metrics.items():
        merged[key] = merged.get(key, {}) | metric.model_dump(by_alias=True, exclude_unset=True)
    out = {}
    for key, raw in merged.items():
        if raw.get("register") is None:
            raise ConfigInvalid(
                f"Device {device_id}, metric {key}: register is missing.",
                f"设备 {device_id},{key}:缺少 register。",
                "Write its zero-based address.",
                "请写从 0 起的地址。",
            )
        try:
            out[key] = ModbusMetric.model_validate(raw)
        except ValidationError as error:
            raise ConfigInvalid(
                f"Device {device_id}, metric {key}: {error.errors()[0]['msg']}.", f"设备 {device_id},{key}:{error.errors()[0]['msg']}。"
            ) from error
    return out
