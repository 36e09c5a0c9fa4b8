"""What is wrong with the server itself just now, in words for system health. Pure.

Each long-lived part says its own; the composition root gathers them. What is mended says nothing any more.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """`part`: broker | broker_process | ingest | book | telemetry | erp | job:<name>.

    `since_s`: how long ago it began, real seconds; None: not known.
    `grave`: people or machines are not heard or not stored while it lasts; else the server goes on, but somebody should look.
    """

    part: str
    en: str
    zh: str
    next_en: str
    next_zh: str
    since_s: float | None = None
    grave: bool = True
