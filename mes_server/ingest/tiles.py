"""Live screens: the newest values of machines, meters and edges, at most twice a second each. Reads the live table, never a store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from edge_agent.contract import names
from edge_agent.contract.clock import iso
from mes_server.ingest.booking import Link, LiveWord
from mes_server.ingest.live_table import LiveTable
from mes_server.ingest.nodes import Host
from mes_server.kit.live import Live

if TYPE_CHECKING:
    from mes_server.ingest.service import IngestService

_TEXTS = (names.STATE, names.ALARM, names.ORDER, names.OPERATION)
_NUMBERS = (names.GOOD_TOTAL, names.SCRAP_TOTAL, names.POWER_W, names.ENERGY_IMPORT_WH, names.CYCLE_S)


class Tiles:
    """`stale_ms`: plant time without a proven value after which a device is shown stale, besides an offline edge."""

    def __init__(self, live: Live, table: LiveTable, host: Host, *, every_s: float, stale_ms: int) -> None:
        self._live = live
        self._table = table
        self._host = host
        self._every_s = every_s
        self._stale_ms = stale_ms
        self._again_s = 0.0
        self._stale: dict[tuple[str, str], bool] = {}
        self._said: dict[tuple[str, str], tuple[str | None, ...]] = {}
        self._heard: set[tuple[str, str]] = set()

    def tell(self, ingest: IngestService, now_s: float, now_ms: int) -> None:
        """Publishes what changed since the last time, and every device that became stale or fresh."""
        for source, machine, one in ingest.committer.take_counted():
            data = {
                "operation": one.operation,
                "machine": machine,
                "good": one.good,
                "scrap": one.scrap,
                "at": iso(one.to_ms),
                "device": source.device,
            }
            self._live.publish(f"operation:{one.operation}", data)
        self._heard |= ingest.intake.touched
        if now_s < self._again_s:
            return
        self._again_s = now_s + self._every_s
        touched = ingest.intake.touched
        links = ingest.committer.links
        for key, link in links.items():
            stale = self.is_stale(*key, now_ms)
            if key not in touched and self._stale.get(key, True) == stale:
                continue
            self._stale[key] = stale
            data = self.device(*key, now_ms)
            if link.machine is not None:
                self._live.publish(f"machine:{link.machine}", {"code": link.machine, **data})
            if link.meter is not None:
                self._live.publish(f"meter:{link.meter}", {"code": link.meter, **data})
        touched.clear()
        for edge in sorted(ingest.intake.edges_touched):
            self._live.publish(f"edge:{edge}", self._edge(ingest, edge))
        ingest.intake.edges_touched.clear()

    def new_words(self, links: Mapping[tuple[str, str], Link]) -> list[LiveWord]:
        """State, alarm, order and operation of the machines where one of them changed since the last call."""
        words: list[LiveWord] = []
        for key, link in links.items():
            if link.machine is None or key not in self._heard:
                continue
            values = self._table.of_device(*key)
            said = tuple(str(found[1]) if (found := values.get(name)) is not None else None for name in _TEXTS)
            if all(one is None for one in said) or self._said.get(key) == said:
                continue
            self._said[key] = said
            raw = values.get(names.STATE_RAW)
            at_ms = max(values[name][0] for name in _TEXTS if name in values)
            state, alarm, order, operation = said
            words.append(LiveWord(link.machine, at_ms, state, None if raw is None else int(raw[1]), alarm, order, operation))
        self._heard.clear()
        return words

    def is_stale(self, edge: str, device: str, now_ms: int) -> bool:
        online = any(
            node.online and (found := node.devices.get(device)) is not None and found.online
            for (_, name), node in self._host.nodes.items()
            if name == edge
        )
        if not online:
            return True
        values = self._table.of_device(edge, device)
        newest = max((at for at, _ in values.values()), default=0)
        watched = values.get(names.WATCHED_UNTIL)
        if watched is not None and isinstance(watched[1], float):
            newest = max(newest, int(watched[1]))
        return now_ms - newest > self._stale_ms

    def device(self, edge: str, device: str, now_ms: int) -> dict[str, Any]:
        """at, state, since, alarm, order, operation, good_total, scrap_total, power_w, energy_import_wh, cycle_s, stale; null where never said."""
        values = self._table.of_device(edge, device)
        newest = max((at for at, _ in values.values()), default=None)
        since = self._table.text_since_of(edge, device, names.STATE)
        shown: dict[str, Any] = {name: found[1] if (found := values.get(name)) is not None else None for name in (*_TEXTS, *_NUMBERS)}
        for name in (names.GOOD_TOTAL, names.SCRAP_TOTAL):
            shown[name] = None if shown[name] is None else int(shown[name])
        return {
            "at": None if newest is None else iso(newest),
            "at_ms": newest,
            "since": None if since is None else iso(since),
            "stale": self.is_stale(edge, device, now_ms),
            **shown,
        }

    def values(self, links: Mapping[tuple[str, str], Link], codes: Iterable[str], now_ms: int) -> dict[str, dict[str, Any]]:
        """`device` for each machine or meter code that has one."""
        wanted = set(codes)
        found: dict[str, dict[str, Any]] = {}
        for key, link in links.items():
            for code in (link.machine, link.meter):
                if code in wanted and code is not None:
                    found[code] = self.device(*key, now_ms)
        return found

    def _edge(self, ingest: IngestService, edge: str) -> dict[str, Any]:
        node = next((one for (_, name), one in self._host.nodes.items() if name == edge), None)
        if node is None:
            return {"edge": edge, "online": False}
        stream = ingest.intake.streams.get((edge, node.epoch))
        last = stream.newest if stream is not None else node.health.get(names.BUFFER_LAST)
        stored = stream.stored_up_to if stream is not None else 0
        return {
            "edge": edge,
            "online": node.online,
            "since": iso(node.since_ms),
            "epoch": node.epoch,
            "stored_up_to": stored,
            "last_record": last,
            "waiting": max(0, last - stored) if isinstance(last, int) else None,
        }
