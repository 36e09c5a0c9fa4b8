"""The sync thread: pulls changes, reads the journal, delivers. A supervision boundary: whatever fails is said on the desk and tried again.

Works in plant time where it waits for business (how often a confirmation is sent, back-off), in real time where it waits for a socket.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import threading
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.erp_sync import repository
from mes_server.erp_sync.connector import ENTITIES, Connector, ErpError, ErpRecord, OutMessage
from mes_server.erp_sync.service import inbound, outbox
from mes_server.erp_sync.service.outbox import Outcome
from mes_server.kit.errors import MesError
from mes_server.kit.faults import Fault
from mes_server.kit.http import Kit

log = logging.getLogger("gemba.erp")
REAL_WAIT_S_MIN = 0.05
REAL_WAIT_S_MAX = 60.0  # after failures in a row
DELIVER_BATCH = 32
REFUSED_BATCH = 50


@dataclass
class LinkState:
    """What the desk shows of the link itself."""

    connected: bool = False
    since_ms: int | None = None
    error_en: str = ""
    error_zh: str = ""
    name: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def set(self, connected: bool, now_ms: int, en: str = "", zh: str = "") -> bool:
        """True when it changed."""
        with self._lock:
            changed = connected != self.connected or self.since_ms is None
            if changed:
                self.connected, self.since_ms = connected, now_ms
            self.error_en, self.error_zh = en, zh
            return changed


class ErpSync:
    """Background service (start/stop). `poll_s` and `confirm_every_s` are plant seconds."""

    def __init__(self, kit: Kit, connector: Connector, *, poll_s: float, confirm_every_s: float, seed: int | None = None) -> None:
        self._kit, self._erp = kit, connector
        self._poll_s, self._confirm_every_s = poll_s, confirm_every_s
        self._random = random.Random(seed)  # noqa: S311  jitter only
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.link = LinkState()

    def fault(self) -> Fault | None:
        """What system health says while the ERP is not reached or the sync fails; before its first turn nothing."""
        link = self.link
        if link.connected or link.since_ms is None:
            return None
        return Fault(
            "erp",
            f"The ERP is not connected. {link.error_en}".strip(),
            f"ERP 未连接。{link.error_zh}",
            "Orders and confirmations wait here and follow by themselves, none is lost. See the ERP page; check the ERP’s address and key.",
            "工单与报工在此等待，恢复后自动继续，不会丢失。请查看 ERP 页面，检查 ERP 的地址与密钥。",
            max(0.0, (self._kit.clock.now_ms() - link.since_ms) / 1000 / self._kit.clock.speed),
        )

    async def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="erp-sync", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, 15)  # its acts and answers need the event loop meanwhile
        self._erp.close()

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                busy = self.turn()
                failures = 0
            except MesError as error:  # the store is busy or failing: its own words, then again
                log.warning("ERP sync: %s", error.say("en"))
                busy = False
            except Exception as error:
                log.exception("ERP sync failed; it goes on")
                busy = False
                failures += 1
                self._say(
                    False,
                    f"Unexpected {error!r}. It is tried again by itself; the server's log has the details.",
                    f"意外错误 {error!r}。将自动重试,详情见服务器日志。",
                )
            idle_s = max(REAL_WAIT_S_MIN, self._poll_s / self._kit.clock.speed)
            self._stop.wait(REAL_WAIT_S_MIN if busy else max(idle_s, min(REAL_WAIT_S_MAX, idle_s * 2 ** min(failures, 8))))

    def turn(self) -> bool:
        """One round: in, journal, out. True when there may be more to do at once. Used by tests too."""
        more = self._pull()
        acts, now_ms = self._kit.acts, self._kit.clock.now_ms()
        read = acts.run_system_sync(outbox.read_journal)
        acts.run_system_sync(lambda session: outbox.write_messages(session, now_ms, confirm_every_s=self._confirm_every_s))
        sent = self._deliver() if self.link.connected else 0
        return more or read >= outbox.JOURNAL_BATCH or sent > 0

    def _pull(self) -> bool:
        more_waits = news = False
        try:
            for entity in ENTITIES:
                with self._kit.db.read() as session:
                    cursor = repository.cursor(session, entity)
                records, after, more = self._erp.changes(entity, cursor)
                more_waits = more_waits or more
                if records or after != cursor:
                    self._kit.acts.run_system_sync(partial(self._store, entity=entity, records=records, cursor=after))
                if records:
                    news = True
                    self._kit.live.publish("erp", {"in": entity, "count": len(records)})
            self._say(True)
            if news:
                self._retry_refused()
        except ErpError as error:
            verdict = self._erp.classify(error)
            self._say(False, verdict.words_en, verdict.words_zh)
            return False
        return more_waits

    def _store(self, session: Session, *, entity: str, records: list[ErpRecord], cursor: str) -> None:
        inbound.take_all(session, records, self._kit.clock.now_ms())
        repository.set_cursor(session, entity, cursor)

    def _retry_refused(self) -> None:
        """Records that lacked something (an item not yet known) are taken again after anything new came."""
        with self._kit.db.read() as session:
            if not repository.refused_inbound(session, 1):
                return
        self._kit.acts.run_system_sync(self._take_refused_again)

    def _take_refused_again(self, session: Session) -> None:
        for row in repository.refused_inbound(session, REFUSED_BATCH):
            record = ErpRecord(row.entity, row.external_id, row.version, False, json.loads(row.raw))
            inbound.take_again(session, row, record, self._kit.clock.now_ms())

    def _deliver(self) -> int:
        now_ms = self._kit.clock.now_ms()
        claimed = self._kit.acts.run_system_sync(lambda session: outbox.claim(session, now_ms, DELIVER_BATCH))
        done = 0
        for message in claimed:
            if self._stop.is_set():
                break
            outcome = self._send(message)
            at_ms, jitter = self._kit.clock.now_ms(), self._random.random()
            settle = partial(outbox.settle, message_id=message.message_id, outcome=outcome, now_ms=at_ms, jitter=jitter)
            self._kit.acts.run_system_sync(settle)
            self._kit.live.publish("erp", {"order": message.order_number, "status": outcome.status})
            done += outcome.status == "posted"
            if outcome.code in ("no_answer", "not_allowed"):
                break
        return done

    def _send(self, message: OutMessage) -> Outcome:
        first_try = message.read_back.get("attempts") == 1
        try:
            difference = ""
            for step in self._erp.plan(message):
                if first_try or not step.already_done(message):  # never sent before: nothing to look for
                    step.do(message)
                difference = step.verify(message) or difference
        except ErpError as error:
            verdict = self._erp.classify(error)
            if verdict.kind == "retry":
                if verdict.code == "no_answer":
                    self._say(False, verdict.words_en, verdict.words_zh)
                return Outcome("waiting", None, verdict.code, verdict.words_en, verdict.words_zh, verdict.retry_s)
            if verdict.kind == "config":
                self._say(False, verdict.words_en, verdict.words_zh)
                return Outcome("waiting", None, verdict.code, verdict.words_en, verdict.words_zh)
            return Outcome("refused", None, verdict.code, verdict.words_en, verdict.words_zh)
        if difference:
            return Outcome("different", message.document, "different", difference, difference)
        return Outcome("posted", message.document)

    def _say(self, connected: bool, en: str = "", zh: str = "") -> None:
        now_ms = self._kit.clock.now_ms()
        if self.link.set(connected, now_ms, en, zh):
            log.info("ERP %s at %s %s", "connected" if connected else "not connected", iso(now_ms), en)
            self._kit.live.publish("erp", {"connected": connected})
