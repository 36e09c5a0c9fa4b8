"""The relational store: SQLite (WAL, synchronous FULL) by default, PostgreSQL by URL. Only kit.acts commits.

Times are integers: milliseconds since 1970 UTC, columns end in `_ms`. Reads use their own snapshot and cannot write.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase, Session

from mes_server.kit.errors import StorageFailed

MILLIS = sa.BigInteger  # a point in time, ms since 1970 UTC
BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite autoincrements INTEGER keys only


class Base(DeclarativeBase):
    """Every slice's models derive from this; mes_server.tables imports them all, so its metadata is whole."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


_CLAIM_KEY = 0x47454D42  # "GEMB"


class Database:
    """Two engines over one store: `writer` for the acts' thread, `reader` for snapshots."""

    def __init__(self, url: str, *, readers_max: int = 16, sqlite_cache_kib: int = 16_384) -> None:
        self.url = sa.make_url(url)
        self._claim: sa.Connection | None = None
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            if not self.url.database or self.url.database == ":memory:":
                raise ValueError("the book of record needs a file: use sqlite:///path/to/gemba.db")
            args: dict[str, Any] = {"check_same_thread": False, "timeout": 30}
            self.writer = sa.create_engine(self.url, pool_size=1, max_overflow=2, connect_args=args)
            self.reader = sa.create_engine(self.url, pool_size=readers_max, max_overflow=0, connect_args=args)
            event.listen(self.writer, "connect", lambda raw, _: _sqlite_pragmas(raw, sqlite_cache_kib, read_only=False))
            event.listen(self.writer, "begin", lambda conn: conn.exec_driver_sql("BEGIN IMMEDIATE"))
            event.listen(self.reader, "connect", lambda raw, _: _sqlite_pragmas(raw, sqlite_cache_kib, read_only=True))
            event.listen(self.reader, "begin", lambda conn: conn.exec_driver_sql("BEGIN"))
        else:
            self.url = self.url.set(drivername="postgresql+psycopg")
            self.writer = sa.create_engine(self.url, pool_size=2, max_overflow=2, pool_pre_ping=True)
            self.reader = sa.create_engine(
                self.url,
                pool_size=readers_max,
                max_overflow=0,
                pool_pre_ping=True,
                isolation_level="REPEATABLE READ",
                execution_options={"postgresql_readonly": True},
            )

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session over one consistent snapshot; it is rolled back at the end and refuses to write."""
        with self.reader.connect() as connection, Session(bind=connection, expire_on_commit=False, autoflush=False) as session:
            yield session

    def ping(self) -> None:
        """Raises StorageFailed if the store cannot be read."""
        try:
            with self.reader.connect() as connection:
                connection.execute(sa.text("SELECT 1"))
        except sa.exc.SQLAlchemyError as error:
            raise StorageFailed from error

    def claim(self) -> bool:
        """PostgreSQL: takes the database for this process until `close` (an advisory lock of a connection of its own); False if another has it.

        SQLite is guarded by the lock of the data folder; two writing processes would not lose anything, but the journal has one sealer.
        """
        if self.is_sqlite:
            return True
        self._claim = self.writer.connect().execution_options(isolation_level="AUTOCOMMIT")
        return bool(self._claim.execute(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": _CLAIM_KEY}).scalar_one())

    def close(self) -> None:
        if self._claim is not None:
            self._claim.close()
            self._claim = None
        self.reader.dispose()
        self.writer.dispose()


def _sqlite_pragmas(raw: Any, cache_kib: int, *, read_only: bool) -> None:
    raw.isolation_level = None  # we say BEGIN ourselves
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # measured: with NORMAL a power cut loses acknowledged rows
        "foreign_keys=ON",
        "recursive_triggers=ON",  # so that INSERT OR REPLACE meets the journal's delete trigger too
        "busy_timeout=30000",
        f"cache_size=-{cache_kib}",
    ):
        raw.execute(f"PRAGMA {pragma}")
    if read_only:
        raw.execute("PRAGMA query_only=ON")
