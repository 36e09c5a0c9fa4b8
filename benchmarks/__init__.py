"""Benchmarks: each measures one way of the product with a limit or a peer beside it, in one run.

A module has `run()`, which gives rows: {"name", "figure", "unit", "limit", "ratio"}. `limit` is what the engine below gives alone (or the target),
in the same unit; `ratio` = figure / limit; both None where a figure has none.
"""

from __future__ import annotations

from typing import Any


def row(name: str, figure: float, unit: str, limit: float | None = None) -> dict[str, Any]:
    ratio = None if not limit else round(figure / limit, 4)
    return {"name": name, "figure": round(figure, 3), "unit": unit, "limit": None if limit is None else round(limit, 3), "ratio": ratio}
