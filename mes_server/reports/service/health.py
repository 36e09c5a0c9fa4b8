"""System health from the probes the composition root handed down, and how far the history has come in."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.kit.faults import Fault
from mes_server.kit.http import Kit
from mes_server.kit.journal import JournalRecord, JournalSeal
from mes_server.machine_states import service as states
from mes_server.plant import service as plant
from mes_server.reports.schemas import BrokerHealth, FaultOut, JournalHealth, Progress, QuarantineHealth, ServerHealth, SystemHealth, TabletHealth
from mes_server.reports.service.probes import Probes


def system_health(session: Session, kit: Kit, probes: Probes) -> SystemHealth:
    """GET /health/system."""
    records = session.execute(sa.select(sa.func.max(JournalRecord.seq))).scalar_one() or 0
    sealed = session.execute(sa.select(sa.func.max(JournalSeal.seq))).scalar_one() or 0
    broker = probes.broker()
    server = ServerHealth(
        version=probes.version,
        uptime_s=round(time.monotonic() - probes.started_s, 1),
        db=probes.database,
        telemetry=probes.telemetry,
        broker=BrokerHealth(connected=bool(broker.get("connected")), since=broker.get("since"), restarts=broker.get("restarts", 0)),
        acts_waiting=kit.acts.waiting,
        journal=JournalHealth(records=records, sealed=sealed, bad_seq=None),
        quarantine=QuarantineHealth(**probes.quarantine(session)),
        faults=[_fault(one) for one in sorted(probes.faults(), key=lambda one: not one.grave)],
    )
    tablets = [TabletHealth(**one) for one in probes.outboxes()]
    return SystemHealth(server=server, tablets=tablets, edges=[_edge(session, kit, row) for row in probes.edges(session)], erp=probes.erp(session))


def _fault(one: Fault) -> FaultOut:
    since_s = None if one.since_s is None else round(one.since_s, 1)
    return FaultOut(part=one.part, grave=one.grave, since_s=since_s, zh=one.zh, en=one.en, next_zh=one.next_zh, next_en=one.next_en)


def _edge(session: Session, kit: Kit, row: dict[str, Any]) -> dict[str, Any]:
    """Adds since (ISO) and today's gaps to what ingest knows of an edge."""
    model = plant.model(session)
    now_ms = kit.clock.now_ms()
    low, high = model.calendar.day_window(model.calendar.production_day(now_ms))
    devices = {str(one["device"]) for one in row.get("devices", [])}
    today = states.gaps(session, machine=None, device=None, from_ms=low, to_ms=high, limit=500, cursor=None).items
    mine = [one for one in today if one.device in devices]
    since_ms = row.get("since_ms")
    found = {key: value for key, value in row.items() if key != "since_ms"}
    return {**found, "since": iso(since_ms) if since_ms is not None else None, "gaps_today": len(mine)}


def progress(session: Session, probes: Probes) -> Progress:
    """GET /history/progress."""
    found = probes.progress(session)
    coming = probes.acts_coming()
    return Progress(expected=found["expected"], stored=found["stored"], acts_waiting=coming, done=found["done"] and not coming)
