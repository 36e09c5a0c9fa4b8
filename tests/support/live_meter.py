"""A meter under load as its registers: what a model's map makes of true values, in any word order, moved by any offset."""

from __future__ import annotations

from edge_agent.sources.modbus import codec
from edge_agent.sources.modbus.config import WordOrder
from edge_agent.sources.modbus.meters import MeterModel
from edge_agent.sources.modbus.plausible import table_of

VOLTS = (231.4, 229.8, 230.6)
AMPS = (10.52, 8.13, 9.41)
FACTOR = 0.91


def truth(seconds: float = 0.0, load: float = 1.0, *, single: bool = False) -> dict[str, float]:
    """SI values `seconds` after the first look. `load` multiplies the currents."""
    phases = 1 if single else 3
    amps = [a * load for a in AMPS[:phases]]
    apparent = sum(v * a for v, a in zip(VOLTS, amps, strict=False))
    watts = apparent * FACTOR
    return {
        **{f"voltage_l{i + 1}_v": VOLTS[i] for i in range(3)},
        **{f"current_l{i + 1}_a": amps[i] if i < phases else 0.0 for i in range(3)},
        "power_w": watts,
        "power_apparent_va": apparent,
        "power_reactive_var": (apparent**2 - watts**2) ** 0.5,
        "power_factor": FACTOR,
        "frequency_hz": 50.02,
        "energy_import_wh": 61_234_560.0 + watts * seconds / 3600.0,
        "energy_export_wh": 1_230.0,
        "energy_reactive_varh": 23_450_000.0,
    }


def registers(model: MeterModel, values: dict[str, float], order: WordOrder | None = None, offset: int = 0) -> dict[int, int]:
    """Address -> word; `order` None: as the maker documents it."""
    out: dict[int, int] = {}
    for key, metric in model.metrics.items():
        kind = metric.type or "float32"
        shown = values[key] / metric.scale
        encodable = "float32" if kind == "pf_four_quadrant" else kind
        words = codec.encode(shown if encodable.startswith("float") else round(shown), encodable, order or metric.word_order or "ABCD")
        out.update({(metric.register_ or 0) + offset + i: word for i, word in enumerate(words)})
    return out


def words_of(model: MeterModel, values: dict[str, float], order: WordOrder | None = None, offset: int = 0) -> dict[tuple[str, int], int]:
    """(table, address) -> word, of the model's own table."""
    return {(table_of(model), at): word for at, word in registers(model, values, order, offset).items()}
