"""What was put aside and may be taken in again once its cause is mended (a newer server, a corrected plant model).

Late words add what the following records could not carry: states, alarms and gaps. Pieces and energy are never added: the next running totals
carried them already. Nothing that is remembered of the device moves, so a record may be retried at any time.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from edge_agent.contract.delivery import BadMark, Mark
from edge_agent.contract.topics import BadTopic, parse
from mes_server.ingest import facts, repository
from mes_server.ingest.booking import DeviceFacts
from mes_server.ingest.errors import CannotRetry, NoSuchPutAside
from mes_server.ingest.intake import Unreadable
from mes_server.ingest.schemas import RetryPutAside
from mes_server.ingest.service import IngestService
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Done, recorded_ms


class Desk:
    def __init__(self, ingest: IngestService) -> None:
        self._ingest = ingest

    def retry(self, session: Session, actor: Actor, command: RetryPutAside) -> Done:
        """Raises NoSuchPutAside, CannotRetry; what booking raises stays as it is and the record stays in quarantine."""
        row = repository.put_aside_row(session, command.record)
        if row is None:
            raise NoSuchPutAside(key=command.record)
        try:
            where, mark = parse(row.topic), Mark.parse(row.mark)
        except (BadTopic, BadMark) as error:
            raise CannotRetry(key=row.id, why=str(error)) from error
        device = where.device or ""
        link = self._ingest.committer.links.get((where.edge, device))
        if link is None:
            raise CannotRetry(key=row.id, why=f"no machine and no meter is mapped to {device} of {where.edge}")
        try:
            events = self._ingest.intake.events_of(where, mark, row.payload)
        except Unreadable as error:
            raise CannotRetry(key=row.id, why=str(error)) from error
        entry = DeviceFacts(where.edge, mark.epoch, mark.n, device, link)
        state = repository.device_state(session, where.edge, device)
        facts.apply(state if state is not None and state.epoch == mark.epoch else None, mark.epoch, events, entry.facts, recorded_ms(session))
        entry.facts.counts.clear()
        entry.facts.readings.clear()
        self._ingest.booking.book(session, [entry])
        repository.forget_put_aside(session, row.id)
        found = {"id": row.id, "states": len(entry.facts.states), "gaps": len(entry.facts.gaps)}
        return Done(f"device:{where.edge}/{device}", found, effect={"mark": row.mark, "reason": row.reason, **found})
