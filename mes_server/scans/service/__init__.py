"""Services of the tablets' door."""

from __future__ import annotations

from mes_server.scans.service.batch import run_act, run_batch
from mes_server.scans.service.decide import decide_page, drop_refused, retry_refused
from mes_server.scans.service.home import home
from mes_server.scans.service.labels import badge_sheet, lot_label, order_traveller, serial_label
from mes_server.scans.service.outboxes import Outboxes
from mes_server.scans.service.passport import passport
from mes_server.scans.service.registry import ACTS, AnyAct
from mes_server.scans.service.resolve import resolve

__all__ = [
    "ACTS",
    "AnyAct",
    "Outboxes",
    "badge_sheet",
    "decide_page",
    "drop_refused",
    "home",
    "lot_label",
    "order_traveller",
    "passport",
    "resolve",
    "retry_refused",
    "run_act",
    "run_batch",
    "serial_label",
]
