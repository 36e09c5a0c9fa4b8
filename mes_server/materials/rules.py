"""Pure rules of material: what a quantity is, what an order still needs, what a lot allows."""

from __future__ import annotations

import math

from edge_agent.contract.clock import iso
from mes_server.materials.errors import LotExpired, LotHeld, LotNotReleased, NotAQuantity, NotWhole

MILLI = 1000
QUANTITY_MAX = 999_999
OVER_TOLERANCE = 0.10  # of the need: bars end, screws get lost
PIECE_UNITS = frozenset({"pcs", "pc", "piece", "pieces", "ea", "件", "个", "只", "台", "套"})

LOT_TRANSITIONS: dict[str, frozenset[str]] = {
    "quarantine": frozenset({"released", "scrapped"}),
    "released": frozenset({"consumed", "shipped", "scrapped"}),
    "consumed": frozenset({"released"}),  # a consumption that is taken back
    "shipped": frozenset({"released"}),
    "scrapped": frozenset(),
}


def milli(value: float, unit: str, item: str) -> int:
    """Thousandths of the unit. Raises NotAQuantity (not > 0, more than six digits or three decimals), NotWhole for pieces."""
    shown = f"{value:,.10g}" if math.isfinite(value) and abs(value) < 1e15 else f"{value:.6g}"
    if not math.isfinite(value) or value <= 0 or value > QUANTITY_MAX:
        raise NotAQuantity(value=shown)
    thousandths = round(value * MILLI)
    if abs(value * MILLI - thousandths) > 1e-6 * max(1.0, abs(value)) or thousandths == 0:
        raise NotAQuantity(value=shown)
    if unit.lower() in PIECE_UNITS and thousandths % MILLI:
        raise NotWhole(value=shown, item=item)
    return thousandths


def quantity(thousandths: int) -> int | float:
    """The quantity as JSON shows it: whole where it is whole."""
    return thousandths // MILLI if thousandths % MILLI == 0 else thousandths / MILLI


def needed_milli(bom: tuple[tuple[str, float, int], ...], item: str, pieces: int) -> int | None:
    """What `pieces` of the order need of `item`; None if its BOM does not name it."""
    lines = [per_piece for code, per_piece, _ in bom if code == item]
    return round(sum(lines) * pieces * MILLI) if lines else None


def over_tolerance(needed: int) -> int:
    return max(MILLI, math.ceil(needed * OVER_TOLERANCE))


def check_lot(code: str, status: str, holds: int, held_ms: int | None, expires_ms: int | None, at_ms: int) -> None:
    """Whether material of the lot may be used at `at_ms`. What was used before the hold was placed is booked whenever it arrives."""
    if holds and (held_ms is None or at_ms >= held_ms):
        raise LotHeld(lot=code, since=iso(held_ms or at_ms))
    if status == "quarantine":
        raise LotNotReleased(lot=code)
    if status in ("shipped", "scrapped"):
        raise LotHeld(lot=code, since=status)
    if expires_ms is not None and at_ms > expires_ms:
        raise LotExpired(lot=code, since=iso(expires_ms))
