"""One SQLite file, one table a kind of event, times in ms UTC. Append only; read by the oracle."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from simulators.physics.events import (
    ActEvent,
    CountEvent,
    ErpEvent,
    Event,
    LotEvent,
    MinuteEvent,
    OfflineEvent,
    PieceEvent,
    PlcEvent,
    PowerEvent,
    StateEvent,
)

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE state (at_ms INTEGER, machine TEXT, state TEXT, alarm TEXT, cause TEXT);
CREATE TABLE count (at_ms INTEGER, machine TEXT, "order" TEXT, operation INTEGER, good INTEGER, scrap INTEGER);
CREATE TABLE piece (at_ms INTEGER, piece INTEGER, "order" TEXT, operation INTEGER, machine TEXT, started_ms INTEGER, result TEXT, reason TEXT,
    serial TEXT);
CREATE TABLE lot (at_ms INTEGER, "order" TEXT, operation INTEGER, item TEXT, lot TEXT, quantity REAL);
CREATE TABLE power (at_ms INTEGER, meter TEXT, watts REAL, var REAL);
CREATE TABLE minute (at_ms INTEGER, meter TEXT, wh REAL, varh REAL);
CREATE TABLE act (at_ms INTEGER, station TEXT, person TEXT, type TEXT, event_id TEXT, stray INTEGER, body TEXT);
CREATE TABLE erp (at_ms INTEGER, kind TEXT, data TEXT);
CREATE TABLE plc (at_ms INTEGER, line TEXT, up INTEGER, fault INTEGER);
CREATE TABLE offline (at_ms INTEGER, station TEXT, until_ms INTEGER);
"""
Row = tuple[Any, ...]


class Ledger:
    """`power` may be left out of a long history: its minute totals say the same there."""

    def __init__(self, path: Path, *, new: bool = False) -> None:
        if new:
            path.unlink(missing_ok=True)
        self._db = sqlite3.connect(path)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")  # truth of a run, not of a plant: speed before a power cut
        if new:
            self._db.executescript(SCHEMA)

    def add(self, events: Iterable[Event]) -> None:
        """Writes all but PLC variables (they are how the plant speaks, not what happened)."""
        rows: dict[str, list[Row]] = {}
        for event in events:
            for table, row in _rows(event):
                rows.setdefault(table, []).append(row)
        for table, many in rows.items():
            self._db.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(many[0]))})", many)  # noqa: S608 - own table names
        self._db.commit()

    def note(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
        self._db.commit()

    def meta(self, key: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def rows(self, table: str, columns: str) -> Iterator[Row]:
        """Rows in time order (ties in the order they happened)."""
        yield from self._db.execute(f"SELECT {columns} FROM {table} ORDER BY at_ms, rowid")  # noqa: S608 - own table names

    def close(self) -> None:
        self._db.close()


def _rows(event: Event) -> list[tuple[str, Row]]:
    match event:
        case StateEvent(at_ms, machine, state, alarm, cause):
            return [("state", (at_ms, machine, state, alarm, cause))]
        case CountEvent(at_ms, machine, order, operation, good, scrap):
            return [("count", (at_ms, machine, order, operation, good, scrap))]
        case PieceEvent(at_ms, piece, order, operation, machine, started_ms, result, reason, serial):
            return [("piece", (at_ms, piece, order, operation, machine, started_ms, result, reason, serial))]
        case LotEvent(at_ms, order, operation, item, lot, quantity):
            return [("lot", (at_ms, order, operation, item, lot, quantity))]
        case PowerEvent(at_ms, meter, watts, var):
            return [("power", (at_ms, meter, watts, var))]
        case MinuteEvent(at_ms, totals):
            return [("minute", (at_ms, meter, wh, varh)) for meter, (wh, varh) in totals.items()]
        case ActEvent(at_ms, station, person, kind, body, event_id, stray):
            return [("act", (at_ms, station, person, kind, event_id, int(stray), json.dumps(body, ensure_ascii=False)))]
        case ErpEvent(at_ms, kind, data):
            return [("erp", (at_ms, kind, json.dumps(data, ensure_ascii=False)))]
        case PlcEvent(at_ms, line, up, fault):
            return [("plc", (at_ms, line, int(up), int(fault)))]
        case OfflineEvent(at_ms, station, until_ms):
            return [("offline", (at_ms, station, until_ms))]
        case _:
            return []
