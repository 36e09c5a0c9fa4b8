"""The buffer file: SQLite in WAL mode with synchronous=FULL, so that a committed record survives a power cut.

One thread uses it. A group commit is one transaction: new records, what the pipeline must remember, marks, and the deletion of answered
records. The file is bounded: when full, plain samples are thinned from the oldest records on (facts stay); when nothing can be thinned
any more it says so and reading has to stop. A damaged file is set aside under a new name, never overwritten, and a new epoch begins.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.buffer import blob
from edge_agent.contract import names
from edge_agent.contract.delivery import GapRecord
from edge_agent.contract.names import FACTS, GapCause
from edge_agent.contract.payload import DataType
from edge_agent.errors import BufferLocked, BufferUnusable
from edge_agent.pipeline.catalogue import Catalogue, Metric
from edge_agent.pipeline.columns import Columns, joined
from edge_agent.pipeline.device import Memory

_SCHEMA = """
create table if not exists meta(key text primary key, value) without rowid;
create table if not exists metric(
  alias integer primary key, device text not null, name text not null, datatype integer not null, unique(device, name));
create table if not exists device(id text primary key, proven_ms integer not null, memory text not null) without rowid;
create table if not exists source_memory(source text primary key, memory blob not null) without rowid;
create table if not exists record(
  n integer primary key, device text not null, count integer not null, thinned integer not null default 0, body blob not null);
"""
_THIN_BATCH = 64


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it lies in the buffer."""

    n: int
    device: str
    columns: Columns


class Buffer:
    """An open buffer file; `epoch` names it for ever. Raises BufferUnusable, BufferLocked at opening; sqlite3.Error later."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.set_aside: Path | None = None
        self._db = self._open()
        self._page_size = int(self._value("pragma page_size"))
        self.epoch = str(self._meta("epoch", secrets.token_hex(8)))
        self.last_n = int(self._meta("last_n", 0))
        self.answered_n = int(self._meta("answered_n", 0))
        self.thinned_values = int(self._meta("thinned_values", 0))
        self._thinned_to = int(self._meta("thinned_to", 0))
        self._db.commit()
        self.catalogue = Catalogue(
            Metric(a, d, n, DataType(t)) for a, d, n, t in self._db.execute("select alias, device, name, datatype from metric")
        )

    # --- opening -------------------------------------------------------------------------------------------------------------
    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._connect()
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                raise BufferLocked(
                    f"The buffer {self.path} is in use by another agent.",
                    f"缓冲文件 {self.path} 正被另一个网关进程使用。",
                    "Stop that one first.",
                    "请先停止它。",
                ) from error
            raise BufferUnusable(
                f"The buffer {self.path} cannot be opened: {error}.",
                f"无法打开缓冲文件 {self.path}:{error}。",
                "Check the folder's rights and free space.",
                "请检查目录权限和剩余空间。",
            ) from error
        except sqlite3.DatabaseError:
            self._put_aside()
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=1.0, isolation_level=None, check_same_thread=False)
        try:
            db.execute("pragma locking_mode=exclusive")  # one agent a file; also spares the shared-memory index
            db.execute("pragma journal_mode=wal")
            db.execute("pragma synchronous=full")
            db.execute("pragma wal_autocheckpoint=2000")
            db.execute("begin immediate")
            db.executescript(_SCHEMA)
            problem = db.execute("pragma quick_check(1)").fetchone()[0]
            if problem != "ok":
                raise sqlite3.DatabaseError(problem)
            db.execute("begin immediate")
        except BaseException:
            db.close()
            raise
        return db

    def _put_aside(self) -> None:
        """Keeps what is damaged for a person to look at."""
        for number in range(1, 1000):
            target = self.path.with_name(f"{self.path.name}.damaged-{number}")
            if not target.exists():
                break
        for suffix in ("", "-wal", "-shm"):
            old = self.path.with_name(self.path.name + suffix)
            if old.exists():
                old.rename(target.with_name(target.name + suffix))
        self.set_aside = target

    def _value(self, sql: str) -> Any:
        return self._db.execute(sql).fetchone()[0]

    def _meta(self, key: str, default: Any) -> Any:
        self._db.execute("insert or ignore into meta values(?, ?)", (key, default))
        return self._db.execute("select value from meta where key = ?", (key,)).fetchone()[0]

    def _set_meta(self, key: str, value: Any) -> None:
        self._db.execute("update meta set value = ? where key = ?", (value, key))

    def close(self) -> None:
        self._db.close()

    # --- what the pipeline remembers -----------------------------------------------------------------------------------------
    def memories(self) -> dict[str, Memory]:
        rows = self._db.execute("select id, proven_ms, memory from device").fetchall()
        return {device: Memory.from_json(proven_ms, json.loads(memory)) for device, proven_ms, memory in rows}

    def source_memories(self) -> dict[str, bytes]:
        """What each source asked to be remembered (its own format), as of the newest of its batches that is durable."""
        return dict(self._db.execute("select source, memory from source_memory").fetchall())

    def next_bdseq(self) -> int:
        """The bdSeq of the next CONNECT, 0..255, durable before it is used."""
        self._db.execute("begin immediate")
        value = (int(self._meta("bdseq", -1)) + 1) % 256
        self._set_meta("bdseq", value)
        self._db.execute("commit")
        return value

    # --- the group commit ----------------------------------------------------------------------------------------------------
    def commit(
        self,
        records: Sequence[tuple[str, Columns]],
        memories: Iterable[tuple[str, Memory]] = (),
        proven: Iterable[tuple[str, int]] = (),
        answered_n: int = 0,
        source_memories: Iterable[tuple[str, bytes]] = (),
    ) -> list[Stored]:
        """One durable transaction: records get the next numbers, answered ones go. Raises sqlite3.Error, then nothing of it happened."""
        stored = [Stored(self.last_n + i, device, columns) for i, (device, columns) in enumerate(records, 1)]
        answered = min(max(answered_n, self.answered_n), self.last_n)
        new_metrics = self.catalogue.take_new()
        db = self._db
        db.execute("begin immediate")
        try:
            db.executemany("insert into metric values(?, ?, ?, ?)", [(m.alias, m.device, m.name, int(m.datatype)) for m in new_metrics])
            db.executemany(
                "insert into record(n, device, count, body) values(?, ?, ?, ?)",
                [(s.n, s.device, len(s.columns), blob.pack(s.columns)) for s in stored],
            )
            db.executemany(
                "insert or replace into device values(?, ?, ?)",
                [(d, m.proven_ms, json.dumps(m.to_json(), separators=(",", ":"))) for d, m in memories],
            )
            db.executemany("update device set proven_ms = ? where id = ?", [(ms, device) for device, ms in proven])
            db.executemany("insert or replace into source_memory values(?, ?)", source_memories)
            if stored:
                self._set_meta("last_n", stored[-1].n)
            if answered > self.answered_n:
                db.execute("delete from record where n <= ?", (answered,))
                self._set_meta("answered_n", answered)
            db.execute("commit")
        except BaseException:
            if db.in_transaction:
                db.execute("rollback")
            self.catalogue.put_back(new_metrics)
            raise
        if stored:
            self.last_n = stored[-1].n
        self.answered_n = answered
        return stored

    def begin_epoch(self) -> None:
        """Gives what waits a new epoch and the numbers 1, 2, 3, …: this file was set back to an older copy, its next numbers were used before."""
        self._db.execute("begin immediate")
        first = self._db.execute("select min(n) from record where n > ?", (self.answered_n,)).fetchone()[0]
        self._db.execute("delete from record where n <= ?", (self.answered_n,))
        if first is not None:
            self._db.execute("update record set n = -(n - ? + 1)", (first,))  # by way of negative numbers: n is the primary key
            self._db.execute("update record set n = -n")
        self.epoch = secrets.token_hex(8)
        self.last_n = int(self._value("select coalesce(max(n), 0) from record"))
        self.answered_n = self._thinned_to = 0
        for key, value in (("epoch", self.epoch), ("last_n", self.last_n), ("answered_n", 0), ("thinned_to", 0)):
            self._set_meta(key, value)
        self._db.execute("commit")

    def claim(self, machine: str) -> bool:
        """From now on this file is `machine`'s. True when another machine had used it (a cloned card, a disk that moved): a new epoch begins, so
        that one (epoch, n) never names two records."""
        before = str(self._meta("machine", machine))
        if before == machine:
            return False
        self.begin_epoch()
        self._set_meta("machine", machine)
        return True

    # --- reading back --------------------------------------------------------------------------------------------------------
    def read(self, after_n: int, limit: int) -> Iterator[Stored]:
        """Records after `after_n` in order. A damaged one comes as empty columns (its number must not be missing)."""
        for n, device, body in self._db.execute("select n, device, body from record where n > ? order by n limit ?", (after_n, limit)).fetchall():
            try:
                columns = blob.unpack(body)
            except blob.BlobDamaged:
                columns = Columns.empty()
            yield Stored(n, device, columns)

    @property
    def waiting(self) -> int:
        """Records not yet answered."""
        return self.last_n - self.answered_n

    def size_bytes(self) -> int:
        """Bytes in use (free pages are not)."""
        return (int(self._value("pragma page_count")) - int(self._value("pragma freelist_count"))) * self._page_size

    # --- the bound -----------------------------------------------------------------------------------------------------------
    def make_room(self) -> bool:
        """Thins plain samples of the oldest records until the file is below its bound; False when there is nothing left to thin."""
        while self.size_bytes() > self.max_bytes:
            rows = self._db.execute("select n, device, body from record where n > ? order by n limit ?", (self._thinned_to, _THIN_BATCH)).fetchall()
            if not rows:
                return False
            facts = np.array([m.alias for m in self.catalogue.by_alias.values() if m.name in FACTS or m.name == names.SAMPLES_GAP], np.uint32)
            self._db.execute("begin immediate")
            dropped = 0
            for n, device, body in rows:
                columns = self._thin(device, blob.unpack(body), facts)
                if columns is not None:
                    dropped += 1
                    self._db.execute("update record set body = ?, count = ?, thinned = 1 where n = ?", (blob.pack(columns), len(columns), n))
            for metric in self.catalogue.take_new():
                self._db.execute("insert into metric values(?, ?, ?, ?)", (metric.alias, metric.device, metric.name, int(metric.datatype)))
            self._thinned_to = rows[-1][0]
            self._set_meta("thinned_to", self._thinned_to)
            self._set_meta("thinned_values", self.thinned_values)
            self._db.execute("commit")
        return True

    def _thin(self, device: str, columns: Columns, facts: np.ndarray[Any, np.dtype[np.uint32]]) -> Columns | None:
        """The record with its facts and, instead of the samples, a samples_gap; None when there are no samples."""
        keep = np.isin(columns.ids, facts)
        gone = len(columns) - int(keep.sum())
        if not gone:
            return None
        self.thinned_values += gone
        times = columns.t_ms[~keep]
        gap = GapRecord(int(times.min()), int(times.max()) + 1, GapCause.BUFFER_FULL, f"{gone} samples")
        metric = self.catalogue.metric(device, names.SAMPLES_GAP, DataType.STRING)
        mark = Columns.of([(metric.alias, int(times.max()), int(DataType.STRING), gap.to_json())])
        both = joined([columns.take(keep), mark])
        return both.take(np.argsort(both.t_ms, kind="stable"))
