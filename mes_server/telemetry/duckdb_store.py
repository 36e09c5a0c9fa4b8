"""Telemetry in one DuckDB file: the only door of duckdb. Layout measured in docs/decisions: (series INTEGER, ts BIGINT ms, value DOUBLE).

Hot rows lie in order of arrival (no index: an append costs 0.1 us a value); what is older is moved to Parquet files sorted by series and time
(`cold.py`). Roll-ups of 1 and 15 minutes are appended as partial sums in the same transaction and merged now and then; a query adds them up, so
late samples need no restating. One process writes; DuckDB's own file lock refuses a second one, and this says so in words.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from mes_server.telemetry.errors import TelemetryFailed, TelemetryInUse
from mes_server.telemetry.store import (
    ROLLUP_MINUTES,
    Buckets,
    Samples,
    SeriesInfo,
    StreamKey,
    Window,
    bucket_width_ms,
    empty_buckets,
)

log = logging.getLogger(__name__)
MERGE_AFTER_ROWS = 200_000  # partial roll-up rows appended before they are merged
_TABLES = """
create table if not exists series (id integer primary key, device varchar not null, metric varchar not null);
create table if not exists mark (edge varchar not null, epoch varchar not null, n bigint not null, primary key (edge, epoch));
create table if not exists hot (series integer not null, ts bigint not null, value double not null);
create table if not exists roll (
  minutes integer not null, series integer not null, bucket bigint not null,
  n bigint not null, low double not null, total double not null, high double not null);
"""
_ROLL = """
insert into roll
select $minutes, series, ts // $width * $width as bucket, count(*), min(value), sum(value), max(value) from incoming group by series, bucket
"""
_MERGE = """
create temp table merged as
select minutes, series, bucket, sum(n)::bigint as n, min(low) as low, sum(total) as total, max(high) as high
from roll group by minutes, series, bucket
"""
_ROLLED = """
select bucket // $width as slot, sum(n)::bigint as n, min(low) as low, sum(total) / sum(n) as mean, max(high) as high
from roll where minutes = $minutes and series = $series and bucket >= $from_ms and bucket < $to_ms group by slot order by slot
"""
_BUCKETS = """
select (ts - $from_ms) // $width as slot, count(*) as n, min(value) as low, avg(value) as mean, max(value) as high
from hot where series = $series and ts >= $from_ms and ts < $to_ms group by slot order by slot
"""


class DuckdbStore:
    """`path` is made, under a temporary name first, if it is not there: a power cut never leaves half a file under the real name."""

    kind = "duckdb"

    def __init__(self, path: Path, *, memory_mib: int = 256, threads: int = 2) -> None:
        self._path = path
        self._config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{memory_mib}MiB",
            "threads": threads,
            "preserve_insertion_order": "false",
        }
        self._lock = threading.Lock()
        self._ids: dict[tuple[str, str], int] = {}
        self._new: list[tuple[int, str, str]] = []
        self._partials = 0

    def open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._path.exists():
            self._create()
        self._connection = self._open(self._path)
        with self._failing():
            self._connection.execute(_TABLES)
            rows = self._connection.execute("select device, metric, id from series").fetchall()
            pending = self._connection.execute("select count(*) from roll").fetchall()[0][0]
        self._ids = {(device, metric): number for device, metric, number in rows}
        self._partials = pending

    def _create(self) -> None:
        temporary = self._path.with_name(f".{self._path.name}.new")
        for left in (temporary, temporary.with_name(temporary.name + ".wal")):
            left.unlink(missing_ok=True)
        connection = self._open(temporary)
        connection.execute(_TABLES)
        connection.execute("checkpoint")
        connection.close()
        temporary.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def _open(self, path: Path) -> duckdb.DuckDBPyConnection:
        try:
            return duckdb.connect(str(path), config=self._config)
        except duckdb.IOException as error:
            if "lock" in str(error).lower():
                raise TelemetryInUse(path=str(path)) from error
            raise TelemetryFailed(why=str(error)[:300]) from error
        except duckdb.Error as error:
            raise TelemetryFailed(why=str(error)[:300]) from error

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            raise TelemetryFailed(why=str(error)[:300]) from error

    @contextlib.contextmanager
    def _reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of its own on the same database, so that a query never waits for an append."""
        with self._failing():
            cursor = self._connection.cursor()
            try:
                yield cursor
            finally:
                cursor.close()

    # --- writing ----------------------------------------------------------------------------------------------------------------
    def register(self, device: str, metric: str) -> int:
        with self._lock:
            found = self._ids.get((device, metric))
            if found is None:
                found = self._ids[(device, metric)] = len(self._ids)
                self._new.append((found, device, metric))
            return found

    def append(self, samples: Samples, marks: Mapping[StreamKey, int]) -> None:
        with self._lock:
            new = list(self._new)
        connection = self._connection
        try:
            connection.execute("begin")
            if new:
                connection.executemany("insert into series values (?, ?, ?)", new)
            if len(samples.ts):
                self._insert(samples)
            for (edge, epoch), n in marks.items():
                connection.execute("insert or replace into mark values (?, ?, ?)", [edge, epoch, n])
            connection.execute("commit")
        except duckdb.Error as error:
            with contextlib.suppress(duckdb.Error):
                connection.execute("rollback")
            self._mend(error)
            raise TelemetryFailed(why=str(error)[:300]) from error
        with self._lock:
            del self._new[: len(new)]
        if self._partials > MERGE_AFTER_ROWS:
            self._merge()

    def _insert(self, samples: Samples) -> None:
        connection = self._connection
        connection.register("incoming", {"series": samples.series, "ts": samples.ts, "value": samples.value})
        try:
            connection.execute("insert into hot select series, ts, value from incoming")
            for minutes in ROLLUP_MINUTES:
                added = connection.execute(_ROLL, {"minutes": minutes, "width": minutes * 60_000}).fetchall()
                self._partials += int(added[0][0])
        finally:
            connection.unregister("incoming")

    def _merge(self) -> None:
        """Adds up the partial roll-ups in one transaction. One that fails waits: what was appended before is stored and must not be sent again."""
        connection = self._connection
        try:
            connection.execute("begin")
            connection.execute(_MERGE)
            connection.execute("delete from roll")
            connection.execute("insert into roll select * from merged order by minutes, series, bucket")
            connection.execute("drop table merged")
            connection.execute("commit")
            self._partials = 0
        except duckdb.Error as error:
            log.error("roll-ups are merged later: %s", error)
            with contextlib.suppress(duckdb.Error):
                connection.execute("rollback")
            self._mend(error)
            self._partials = MERGE_AFTER_ROWS // 2

    def _mend(self, error: duckdb.Error) -> None:
        """A failed checkpoint invalidates the whole database object until it is opened again; where that fails too (the disk is still full), the
        connection stays closed and the next one who fails over it opens it."""
        if isinstance(error, duckdb.FatalException | duckdb.ConnectionException) or "invalidated" in str(error):
            with contextlib.suppress(duckdb.Error):
                self._connection.close()
            with contextlib.suppress(TelemetryFailed, TelemetryInUse):
                self._connection = self._open(self._path)

    def drop_before(self, before_ms: int) -> int:
        with self._failing():
            return int(self._connection.execute("delete from hot where ts < ?", [before_ms]).fetchall()[0][0])

    def copy_to(self, target: Path) -> None:
        """Writes one consistent copy to a new file, beside appends and queries. Raises TelemetryFailed."""
        with self._reader() as connection:
            name = connection.execute("select current_database()").fetchall()[0][0]
            connection.execute(f"attach '{str(target).replace(chr(39), chr(39) * 2)}' as backup_copy")
            try:
                connection.execute(f'copy from database "{name}" to backup_copy')
            finally:
                connection.execute("detach backup_copy")

    def close(self) -> None:
        with contextlib.suppress(duckdb.Error):
            self._connection.close()

    # --- reading ----------------------------------------------------------------------------------------------------------------
    def marks(self) -> dict[StreamKey, int]:
        with self._reader() as reader:
            return {(edge, epoch): n for edge, epoch, n in reader.execute("select edge, epoch, n from mark").fetchall()}

    def series(self) -> list[SeriesInfo]:
        with self._lock:
            return [SeriesInfo(*key) for key in self._ids]

    def _id(self, device: str, metric: str) -> int | None:
        return self._ids.get((device, metric))

    def window(self, device: str, metric: str, from_ms: int, to_ms: int, *, limit: int = 1_000_000) -> Window:
        number = self._id(device, metric)
        if number is None:
            return Window(np.zeros(0, np.int64), np.zeros(0))
        with self._reader() as reader:
            found = reader.execute(
                "select ts, value from hot where series = ? and ts >= ? and ts < ? order by ts limit ?", [number, from_ms, to_ms, limit]
            ).fetchnumpy()
        return Window(_plain(found["ts"], np.int64), _plain(found["value"], np.float64))

    def latest(self, device: str, metric: str, *, before_ms: int | None = None) -> tuple[int, float] | None:
        number = self._id(device, metric)
        if number is None:
            return None
        bound = 1 << 62 if before_ms is None else before_ms
        with self._reader() as reader:
            ts, value = reader.execute("select max(ts), arg_max(value, ts) from hot where series = ? and ts < ?", [number, bound]).fetchall()[0]
        return None if ts is None else (int(ts), float(value))

    def buckets(self, device: str, metric: str, from_ms: int, to_ms: int, points: int) -> Buckets:
        width = bucket_width_ms(from_ms, to_ms, points)
        number = self._id(device, metric)
        if number is None:
            return empty_buckets(width)
        with self._reader() as reader:
            found = reader.execute(_BUCKETS, {"from_ms": from_ms, "to_ms": to_ms, "width": width, "series": number}).fetchnumpy()
        return _buckets(found, from_ms, width)

    def rollup(self, device: str, metric: str, from_ms: int, to_ms: int, minutes: int) -> Buckets:
        width = minutes * 60_000
        number = self._id(device, metric)
        if minutes not in ROLLUP_MINUTES or number is None:
            return empty_buckets(width)
        with self._reader() as reader:
            wanted = {"from_ms": from_ms, "to_ms": to_ms, "width": width, "series": number, "minutes": minutes}
            found = reader.execute(_ROLLED, wanted).fetchnumpy()
        return _buckets(found, 0, width)


def _plain(column: Any, kind: Any) -> Any:
    """A masked column of fetchnumpy as an ordinary array of `kind`."""
    return np.asarray(np.ma.getdata(column)).astype(kind, copy=False)


def _buckets(found: Mapping[str, Any], origin_ms: int, width: int) -> Buckets:
    return Buckets(
        origin_ms + _plain(found["slot"], np.int64) * width,
        _plain(found["n"], np.int64),
        _plain(found["low"], np.float64),
        _plain(found["mean"], np.float64),
        _plain(found["high"], np.float64),
        width,
    )
