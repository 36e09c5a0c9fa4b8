"""What stands between a meter and the mains: current and voltage transformers, and a meter that looks the other way. Pure.

A meter behind transformers that does not know them shows secondary values: currents have to be multiplied by the current transformer's ratio
(200/5 A is 40), voltages by the voltage transformer's, powers and energies by both; power factors and frequencies by neither. A meter whose
current transformers were mounted backwards shows import as export: `invert` turns powers and power factors around and swaps the two energies.
"""

from __future__ import annotations

from typing import Final

_BY_CURRENT: Final = ("_a",)
_BY_VOLTAGE: Final = ("_v",)
_BY_BOTH: Final = ("_w", "_var", "_va", "_wh", "_varh", "_vah")
_TURNED: Final = frozenset({"power_w", "power_reactive_var", "power_factor", *(f"power_l{i}_w" for i in (1, 2, 3))})
_SWAPPED: Final = {"energy_import_wh": "energy_export_wh", "energy_export_wh": "energy_import_wh"}


def ratio(key: str, ct_ratio: float, pt_ratio: float) -> float:
    """What the value named `key` (unit last) has to be multiplied by."""
    if key.endswith(_BY_BOTH):
        return ct_ratio * pt_ratio
    if key.endswith(_BY_CURRENT):
        return ct_ratio
    return pt_ratio if key.endswith(_BY_VOLTAGE) else 1.0


def sign(key: str, invert: bool) -> float:
    return -1.0 if invert and key in _TURNED else 1.0


def counterpart(key: str, invert: bool) -> str:
    """The name under which a meter's `key` is known to us."""
    return _SWAPPED.get(key, key) if invert else key
