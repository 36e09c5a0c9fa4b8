"""The buffer file: SQLite in WAL mode with synchronous=FULL, so that a committed record survives a power cut.

One thread uses it. A group commit is one transaction: new records, what the pipeline must remember, marks, and the deletion of answered
records. The file is bounded: when full, plain samples are thinned from the oldest records on (facts stay); when nothing can be thinned
any more it says so and reading has to stop. A damaged file is set aside under a new name, never overwritten, and a new epoch begins.

A full disk makes the buffer lean (docs/decisions/007): of new records only facts are stored, in space won by thinning old records, then in pages
kept in reserve since the beginning. When the disk has space again the reserve is filled up and samples are stored again.
Checkpoints are ours, not SQLite's: an automatic one would hide a disk that errs.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from edge_agent.buffer import blob, disk, sums
from edge_agent.buffer.thin import Dropped, Thinner
from edge_agent.contract import names
from edge_agent.contract.delivery import GapRecord
from edge_agent.contract.names import GapCause
from edge_agent.contract.payload import DataType
from edge_agent.errors import BufferLocked, BufferUnusable
from edge_agent.pipeline.catalogue import Catalogue, Metric
from edge_agent.pipeline.columns import Columns
from edge_agent.pipeline.device import Memory

T = TypeVar("T")

_SCHEMA = """
create table if not exists meta(key text primary key, value) without rowid;
create table if not exists metric(
  alias integer primary key, device text not null, name text not null, datatype integer not null, unique(device, name));
create table if not exists device(id text primary key, proven_ms integer not null, memory text not null) without rowid;
create table if not exists source_memory(source text primary key, memory blob not null) without rowid;
create table if not exists reserve(id integer primary key, body blob not null);
create table if not exists record(
  n integer primary key, device text not null, count integer not null, thinned integer not null default 0, body blob not null);
"""
_META: dict[str, Any] = {"last_n": 0, "answered_n": 0, "thinned_values": 0, "thinned_to": 0, "shift": 0, "bdseq": -1, "metrics": 0}
_THIN_BATCH = 64
_LEAN_PAGES = 64  # free pages that a lean buffer tries to have
_PAGES_MAX = 4_294_967_294
_GIVEN_UP = "-reserve"
_FULL_CHECK_BYTES = 64_000_000  # a larger file is checked page by page only after a fault (seconds a GB)
_CACHE_KB = 512  # SQLite's own default is 2,000: what is sent again is read once, in order, and needs no cache
WAL_BYTES = 8_000_000
DAMAGED_MS = 5_000  # what a damaged record spans at most when no neighbour tells: watched_until comes as often
COMMIT_WAL_BYTES = 40_000  # what a small commit writes to the WAL


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it lies in the buffer."""

    n: int
    device: str
    columns: Columns


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive records, their values joined: `counts[i]` rows of `columns` are record `numbers[i]`."""

    numbers: list[int]
    devices: list[str]
    counts: list[int]
    columns: Columns


class Buffer:
    """An open buffer file; `epoch` names it for ever. Raises BufferUnusable, BufferLocked at opening; sqlite3.Error later.

    `reserve_bytes`: a third each for the WAL, as pages of the file, and as a file that is given up to bring the WAL home; taken when there is room.
    """

    def __init__(self, path: Path, max_bytes: int, reserve_bytes: int = 0) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.set_aside: Path | None = None
        self.lean = False  # the disk is full: only facts are stored
        self.damaged_records = 0
        self.body_bytes = 0  # of the records committed since it was opened
        self._reserve_rows = min(reserve_bytes, max_bytes // 4) // 3 // disk.RESERVE_ROW_BYTES
        self._reserved_wal_bytes = min(self._reserve_rows * disk.RESERVE_ROW_BYTES, WAL_BYTES)
        self.checkpoint_bytes = self._reserved_wal_bytes * 3 // 4 or WAL_BYTES
        self._wal_bytes = 0  # about so much was written since the last checkpoint
        self._dropped: dict[str, Dropped] = {}  # samples left out and not yet said, by device
        self._metas: dict[str, Any] = {}
        self._db = self._open()
        self._page_size = int(self._value("pragma page_size"))
        self.epoch = str(self._metas["epoch"])
        self.last_n, self.answered_n = int(self._metas["last_n"]), int(self._metas["answered_n"])
        self.thinned_values, self._thinned_to = int(self._metas["thinned_values"]), int(self._metas["thinned_to"])
        self.catalogue = Catalogue(
            Metric(a, d, n, DataType(t)) for a, d, n, t in self._db.execute("select alias, device, name, datatype from metric")
        )
        self._thinner = Thinner(self.catalogue)
        if self._reserve_rows:
            wal = self._beside("-wal"), self._reserved_wal_bytes
            if not disk.allocate(*wal):
                self._beside(_GIVEN_UP).unlink(missing_ok=True)
                disk.allocate(*wal)
            self.fill_reserve()

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

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=1.0, isolation_level=None, check_same_thread=False)
        db.text_factory = lambda raw: raw.decode(errors="replace")  # a damaged text fails its sum, not its reader
        try:
            db.execute("pragma locking_mode=exclusive")  # one agent a file; also spares the shared-memory index
            mode = db.execute("pragma journal_mode=wal").fetchone()[0]
            if mode != "wal":  # it says so, it does not raise
                raise sqlite3.OperationalError(f"the disk does not let it write ahead (journal mode {mode})")
            db.execute(f"pragma cache_size=-{_CACHE_KB}")
            db.execute("pragma synchronous=full")
            db.execute("pragma wal_autocheckpoint=0")
            db.execute("begin immediate")
            db.executescript(_SCHEMA)
            suspect = self._beside("-suspect")
            if suspect.exists() or self.path.stat().st_size <= _FULL_CHECK_BYTES:
                problem = db.execute("pragma quick_check(1)").fetchone()[0]
                if problem != "ok":
                    raise sqlite3.DatabaseError(problem)
            self._load(db)
            disk.flush_folder(self.path)
            suspect.unlink(missing_ok=True)
        except sqlite3.OperationalError:
            db.close()
            raise
        except (sqlite3.DatabaseError, ValueError):  # ValueError: SumWrong, and SQLite's own words about a damaged schema, which quote it
            self._put_aside()  # before it is closed: SQLite leaves a file that has moved, and its WAL, as they are
            db.close()
            return self._connect()
        except BaseException:
            db.close()
            raise
        return db

    def _load(self, db: sqlite3.Connection) -> None:
        """Reads meta and checks every sum. Raises SumWrong; sqlite3.Error."""
        metas = dict(db.execute("select key, value from meta").fetchall())
        if not isinstance(metas.get("sum", 0), int) or metas.get("sum", sums.of_meta(metas)) != sums.of_meta(metas):
            raise sums.SumWrong("the marks")
        metrics = db.execute("select alias, device, name, datatype from metric order by alias").fetchall()
        if metas.get("metrics") and metas["metrics"] != sums.of_rows(metrics):
            raise sums.SumWrong("the names of the metrics")
        for device, proven, memory in db.execute("select id, proven_ms, memory from device"):
            sums.time_of(device, proven)
            sums.text_of(device, memory)
        for source, memory in db.execute("select source, memory from source_memory"):
            sums.bytes_of(source, memory)
        newest, oldest = db.execute("select coalesce(max(n), 0), coalesce(min(n), 0) from record").fetchone()
        if newest > metas.get("last_n", 0) or (oldest and oldest != metas.get("answered_n", 0) + 1) or (metas and not newest and self._misses(metas)):
            raise sums.SumWrong("the numbers of the records")
        self._metas = {"epoch": secrets.token_hex(8), **_META, **metas}
        if "sum" not in metas:
            db.execute("begin immediate")
            self._metas["metrics"] = sums.of_rows(metrics) if metrics else 0
            self._save_meta(db)
            db.execute("commit")

    @staticmethod
    def _misses(metas: dict[str, Any]) -> bool:
        """No records at all although some are not answered."""
        return bool(metas.get("last_n", 0) > metas.get("answered_n", 0))

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    def _put_aside(self) -> None:
        """Keeps what is damaged for a person to look at."""
        for number in range(1, 1000):
            target = self.path.with_name(f"{self.path.name}.damaged-{number}")
            if not target.exists():
                break
        for suffix in ("", "-wal", "-shm"):
            old = self._beside(suffix)
            if old.exists():
                old.rename(target.with_name(target.name + suffix))
        self._beside("-suspect").unlink(missing_ok=True)
        self.set_aside = target

    def suspect(self) -> None:
        """The file's structure was found broken while in use: the next opening looks at every page, whatever the size."""
        self._beside("-suspect").touch()

    def _value(self, sql: str) -> Any:
        return self._db.execute(sql).fetchone()[0]

    def _save_meta(self, db: sqlite3.Connection, **changes: Any) -> None:
        """In the open transaction: the changed marks and the sum over all of them."""
        metas = {**self._metas, **changes}
        new = changes if "sum" in self._metas else metas
        metas["sum"] = sums.of_meta(metas)
        db.executemany("insert or replace into meta values(?, ?)", [*new.items(), ("sum", metas["sum"])])
        self._metas = metas

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """One durable transaction, or none. Raises sqlite3.Error."""
        db, before = self._db, self._metas
        db.execute("begin immediate")
        try:
            done = work(db)
            db.execute("commit")
        except BaseException:
            self._metas = before
            if db.in_transaction:
                db.execute("rollback")
            raise
        return done

    def close(self) -> None:
        self._db.close()

    # --- what the pipeline remembers -----------------------------------------------------------------------------------------
    def memories(self) -> dict[str, Memory]:
        rows = self._db.execute("select id, proven_ms, memory from device").fetchall()
        return {id_: Memory.from_json(sums.time_of(id_, proven), json.loads(sums.text_of(id_, memory))) for id_, proven, memory in rows}

    def source_memories(self) -> dict[str, bytes]:
        """What each source asked to be remembered (its own format), as of the newest of its batches that is durable."""
        rows = self._db.execute("select source, memory from source_memory").fetchall()
        return {source: sums.bytes_of(source, memory) for source, memory in rows}

    def next_bdseq(self) -> int:
        """The bdSeq of the next CONNECT, 0..255, durable before it is used (on a full disk: at the next one)."""
        value = (int(self._metas["bdseq"]) + 1) % 256
        try:
            self._transaction(lambda db: self._save_meta(db, bdseq=value))
        except sqlite3.OperationalError as error:
            if not disk.is_full(error):
                raise
            self._metas = {**self._metas, "bdseq": value}
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
        """One durable transaction: records get the next numbers, answered ones go. Raises sqlite3.Error, then nothing of it happened.

        Lean: plain samples are left out and the records that come back lack them. Full for good: sqlite3.OperationalError (disk.is_full).
        """
        device_rows = [(d, sums.sign_time(d, m.proven_ms), sums.sign_text(d, json.dumps(m.to_json(), separators=(",", ":")))) for d, m in memories]
        proven_rows = [(sums.sign_time(device, ms), device) for device, ms in proven]
        source_rows = [(source, sums.sign_bytes(source, raw)) for source, raw in source_memories]
        while True:
            dropped, thinned_before = dict(self._dropped), self.thinned_values
            stored = [Stored(self.last_n + i, *record) for i, record in enumerate(self._as_stored(records, dropped), 1)]
            new_metrics = self.catalogue.take_new()
            try:
                size = self._transaction(partial(self._put, stored, new_metrics, device_rows, proven_rows, source_rows, answered_n))
                break
            except sqlite3.Error as error:
                self.catalogue.put_back(new_metrics)
                self.thinned_values = thinned_before
                if not disk.is_full(error):
                    raise
                was_lean = self.lean
                self._be_lean()
                if not self._win_pages() and was_lean:
                    raise
        self._dropped = dropped
        self.last_n, self.answered_n = int(self._metas["last_n"]), int(self._metas["answered_n"])
        self.body_bytes += size
        self._checkpoint(size + COMMIT_WAL_BYTES)
        return stored

    def _as_stored(self, records: Sequence[tuple[str, Columns]], dropped: dict[str, Dropped]) -> list[tuple[str, Columns]]:
        """The records as they will be stored: without samples on a full disk, and with a samples_gap for what was left out."""
        if not self.lean and not dropped:
            return list(records)
        out: list[tuple[str, Columns]] = []
        for device, columns in records:
            if self.lean:
                columns, gone = self._thinner.split(columns)
                if gone is not None:
                    dropped[device] = gone.and_(dropped.get(device))
                    self.thinned_values += gone.count
            if len(columns):
                gone = dropped.pop(device, None)
                out.append((device, columns if gone is None else self._thinner.marked(device, columns, gone)))
        return out

    def _put(
        self,
        stored: Sequence[Stored],
        metrics: Sequence[Metric],
        devices: Sequence[tuple[str, int, str]],
        proven: Sequence[tuple[int, str]],
        sources: Sequence[tuple[str, bytes]],
        answered_n: int,
        db: sqlite3.Connection,
    ) -> int:
        """The statements of a commit; the bytes of the records."""
        changes: dict[str, Any] = {}
        if metrics:
            db.executemany("insert into metric values(?, ?, ?, ?)", [(m.alias, m.device, m.name, int(m.datatype)) for m in metrics])
            changes["metrics"] = sums.of_rows(db.execute("select alias, device, name, datatype from metric order by alias"))
        shift = int(self._metas["shift"])
        rows = [(s.n, s.device, len(s.columns), blob.pack(s.columns, s.n + shift, s.device)) for s in stored]
        db.executemany("insert into record(n, device, count, body) values(?, ?, ?, ?)", rows)
        db.executemany("insert or replace into device values(?, ?, ?)", devices)
        db.executemany("update device set proven_ms = ? where id = ?", proven)
        db.executemany("insert or replace into source_memory values(?, ?)", sources)
        if stored:
            changes["last_n"] = stored[-1].n
        answered = min(answered_n, self.last_n)
        if answered > self.answered_n:
            db.execute("delete from record where n <= ?", (answered,))
            changes["answered_n"] = answered
        if changes:
            self._save_meta(db, **changes)
        return sum(len(row[3]) for row in rows)

    def _checkpoint(self, written: int, at_least: int | None = None) -> None:
        """Brings the WAL home when it is long. A disk that errs is an error here (sqlite3.OperationalError); a full one makes the buffer lean."""
        self._wal_bytes += written
        if self._wal_bytes < (self.checkpoint_bytes if at_least is None else at_least):
            return
        try:
            self._db.execute("pragma wal_checkpoint(passive)").fetchone()
            self._wal_bytes = 0
        except sqlite3.OperationalError as error:
            if not disk.is_full(error):
                raise
            self._be_lean()

    def begin_epoch(self) -> None:
        """Gives what waits a new epoch and the numbers 1, 2, 3, …: this file was set back to an older copy, its next numbers were used before."""

        def renumber(db: sqlite3.Connection) -> None:
            first = db.execute("select min(n) from record where n > ?", (self.answered_n,)).fetchone()[0]
            db.execute("delete from record where n <= ?", (self.answered_n,))
            if first is not None:
                db.execute("update record set n = -(n - ? + 1)", (first,))  # by way of negative numbers: n is the primary key
                db.execute("update record set n = -n")
            last_n = db.execute("select coalesce(max(n), 0) from record").fetchone()[0]
            shift = int(self._metas["shift"]) + (first - 1 if first is not None else self.last_n)
            self._save_meta(db, epoch=secrets.token_hex(8), last_n=last_n, answered_n=0, thinned_to=0, shift=shift)

        self._transaction(renumber)
        self.epoch, self.last_n = str(self._metas["epoch"]), int(self._metas["last_n"])
        self.answered_n = self._thinned_to = 0

    def claim(self, machine: str) -> bool:
        """From now on this file is `machine`'s. True when another machine had used it (a cloned card, a disk that moved): a new epoch begins, so
        that one (epoch, n) never names two records."""
        before = str(self._metas.get("machine", machine))
        if before != machine:
            self.begin_epoch()
        if self._metas.get("machine") != machine:
            self._transaction(lambda db: self._save_meta(db, machine=machine))
        return before != machine

    # --- reading back --------------------------------------------------------------------------------------------------------
    def read(self, after_n: int, limit: int) -> Iterator[Stored]:
        """Records after `after_n` in order. A damaged one comes as a gap record of its device (its number must not be missing) and is counted."""
        for n, device, body in self._db.execute("select n, device, body from record where n > ? order by n limit ?", (after_n, limit)).fetchall():
            try:
                yield Stored(n, device, self._unpack(n, device, body))
            except blob.BlobDamaged:
                yield self._damaged(n, device, body)

    def read_window(self, after_n: int, records_max: int, bytes_max: int) -> Window:
        """The records after `after_n`, at least one if there is one, as many as fit; damaged ones as in `read`."""
        rows: list[tuple[int, str, bytes]] = []
        size, shift = 0, int(self._metas["shift"])
        for row in self._db.execute("select n, device, body from record where n > ? order by n limit ?", (after_n, records_max)):
            size += len(row[2])
            if size > bytes_max and rows:
                break
            rows.append(row)

        def instead(place: int) -> tuple[str, Columns]:
            gap = self._damaged(*rows[place])
            return gap.device, gap.columns

        numbers = [n for n, _, _ in rows]
        return Window(numbers, *blob.unpack_many([(n + shift, device, body) for n, device, body in rows] if shift else rows, instead))

    def _unpack(self, n: int, device: str, body: bytes) -> Columns:
        return blob.unpack(body, n + int(self._metas["shift"]), device)

    def _damaged(self, n: int, device: str, body: bytes) -> Stored:
        self.damaged_records += 1
        known = {metric.device for metric in self.catalogue.by_alias.values() if metric.device}
        for other in sorted(known):  # only the device's name is damaged?
            with suppress(blob.BlobDamaged):
                return Stored(n, other, self._unpack(n, other, body))
        gap = self.catalogue.find(device, names.GAP)
        if gap is None:  # not a device that ever said a fact: nothing can be said of it
            return Stored(n, device if device in known or not known else min(known), Columns.empty())
        before, after = self._neighbour_ms(n, device, "<", "desc", -1), self._neighbour_ms(n, device, ">", "asc", 0)
        to_ms = after or (before or 0) + DAMAGED_MS
        record = GapRecord(before or max(0, to_ms - DAMAGED_MS), to_ms, GapCause.DAMAGED, f"record {n} of the buffer was damaged on the disk")
        return Stored(n, device, Columns.of([(gap.alias, to_ms, int(DataType.STRING), record.to_json())]))

    def _neighbour_ms(self, n: int, device: str, where: str, order: str, row: int) -> int | None:
        """Time of the last value before, or the first one after, a record of the device."""
        found = self._db.execute(f"select n, body from record where device = ? and n {where} ? order by n {order} limit 1", (device, n)).fetchone()  # noqa: S608
        if found is not None:
            with suppress(blob.BlobDamaged):
                columns = self._unpack(found[0], device, found[1])
                return int(columns.t_ms[row]) if len(columns) else None
        return None

    @property
    def waiting(self) -> int:
        """Records not yet answered."""
        return self.last_n - self.answered_n

    def size_bytes(self) -> int:
        """Bytes in use (free and reserved pages are not)."""
        used = int(self._value("pragma page_count")) - int(self._value("pragma freelist_count"))
        return used * self._page_size - int(self._value("select count(*) from reserve")) * disk.RESERVE_ROW_BYTES

    # --- the bound, and the full disk ----------------------------------------------------------------------------------------
    def tend(self) -> bool:
        """Once a second: keeps the file below its bound, and goes back to normal when a full disk has space again. False: nothing left to thin."""
        room = True
        try:
            room = self.make_room()
        except sqlite3.OperationalError as error:
            if not disk.is_full(error):
                raise
            self._be_lean()
        if self.lean or self.reserve_missing_bytes > 0:
            self.fill_reserve()
        return room

    def make_room(self) -> bool:
        """Thins plain samples of the oldest records until the file is below its bound; False when there is nothing left to thin."""
        while self.size_bytes() > self.max_bytes:
            if not self._thin_some():
                return False
        return True

    def _thin_some(self) -> bool:
        """Thins the next records in one transaction; False when all are thin. Raises sqlite3.Error."""
        rows = self._db.execute("select n, device, body from record where n > ? order by n limit ?", (self._thinned_to, _THIN_BATCH)).fetchall()
        if not rows:
            return False
        shift, values = int(self._metas["shift"]), self.thinned_values
        facts: dict[int, Columns] = {}
        dropped: dict[str, Dropped] = {}
        last: dict[str, int] = {}
        for n, device, body in rows:
            try:
                columns, gone = self._thinner.split(blob.unpack(body, n + shift, device))
            except blob.BlobDamaged:
                continue  # stays as it is: it is found, and said, when its turn comes
            if gone is not None:
                facts[n], last[device] = columns, n
                dropped[device] = gone.and_(dropped.get(device))
                values += gone.count
        for device, n in last.items():  # one mark a device and batch: a mark is longer than a handful of samples
            facts[n] = self._thinner.marked(device, facts[n], dropped[device])
        device_of = {n: device for n, device, _ in rows}
        thinned = [(n, device_of[n], len(columns), blob.pack(columns, n + shift, device_of[n])) for n, columns in facts.items()]
        new_metrics = self.catalogue.take_new()

        def put(db: sqlite3.Connection) -> None:
            # Not an update: a row that shrinks in its place leaves its page as empty as it has become.
            db.executemany("delete from record where n = ?", [(n,) for n in facts])
            db.executemany("insert into record(n, device, count, body, thinned) values(?, ?, ?, ?, 1)", thinned)
            changes: dict[str, Any] = {"thinned_to": rows[-1][0], "thinned_values": values}
            if new_metrics:
                db.executemany("insert into metric values(?, ?, ?, ?)", [(m.alias, m.device, m.name, int(m.datatype)) for m in new_metrics])
                changes["metrics"] = sums.of_rows(db.execute("select alias, device, name, datatype from metric order by alias"))
            self._save_meta(db, **changes)

        try:
            self._transaction(put)
        except BaseException:
            self.catalogue.put_back(new_metrics)
            raise
        self._thinned_to, self.thinned_values = rows[-1][0], values
        self._checkpoint(COMMIT_WAL_BYTES + sum(len(row[3]) for row in thinned))
        return True

    def _be_lean(self) -> None:
        """The disk is full. Once the WAL has come home, in the space of the file that is given up for it, nothing grows any more: the WAL has its
        bytes, and new pages come from those that are free."""
        if self.lean:
            return
        self.lean = True
        self._beside(_GIVEN_UP).unlink(missing_ok=True)
        self._checkpoint(0, at_least=0)
        self._db.execute(f"pragma max_page_count = {self._value('pragma page_count')}")

    def _win_pages(self) -> bool:
        """On a full disk: wins free pages, first from old samples, then from the reserve. False when there were none to win."""
        before = int(self._value("pragma freelist_count"))
        for win in (self._thin_some, self._take_reserve):
            try:
                self._checkpoint(0, at_least=0)
                while int(self._value("pragma freelist_count")) < before + _LEAN_PAGES and win():
                    pass
            except sqlite3.OperationalError as error:
                if not disk.is_full(error):
                    raise
        return int(self._value("pragma freelist_count")) > before

    def _take_reserve(self) -> bool:
        return self._transaction(lambda db: db.execute("delete from reserve where id = (select max(id) from reserve)")).rowcount > 0

    @property
    def reserve_missing_bytes(self) -> int:
        return (self._reserve_rows - int(self._value("select count(*) from reserve"))) * disk.RESERVE_ROW_BYTES

    def fill_reserve(self) -> bool:
        """Takes what is missing of the reserve when the disk has room for it; then the buffer is no longer lean. False when it has not."""
        given_up = self._beside(_GIVEN_UP)
        missing = self.reserve_missing_bytes + (0 if given_up.exists() else self._reserved_wal_bytes)
        if disk.free_bytes(self.path) < missing + max(self._reserved_wal_bytes, disk.RESERVE_ROW_BYTES):
            return False
        self._db.execute(f"pragma max_page_count = {_PAGES_MAX}")
        was_lean, self.lean = self.lean, False
        try:
            while self.reserve_missing_bytes > 0 and not self.lean:
                self._transaction(lambda db: db.execute("insert into reserve(body) values(zeroblob(?))", (disk.RESERVE_ROW_BYTES - 512,)))
                self._checkpoint(disk.RESERVE_ROW_BYTES)
            if missing and not self.lean:
                self._checkpoint(0, at_least=0)  # only what stands in the file itself is taken
        except sqlite3.OperationalError as error:
            if not disk.is_full(error):
                raise
            self._be_lean()
        if self._reserve_rows and not self.lean and not given_up.exists():
            given_up.touch()
            disk.allocate(given_up, self._reserved_wal_bytes)
        return was_lean and not self.lean
