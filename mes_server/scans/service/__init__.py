"""Services of the tablets' door."""

from __future__ import annotations

from mes_server.scans.service.batch import run_act, run_batch
from mes_server.scans.service.decide import decide_page, drop_refused, retry_refused
from mes_server.scans.service.registry import ACTS, AnyAct

__all__ = ["ACTS", "AnyAct", "decide_page", "drop_refused", "retry_refused", "run_act", "run_batch"]
