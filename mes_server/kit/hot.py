"""Hot statements: Core statements compiled once a dialect and run on the driver's own cursor, in the session's transaction.

Measured: `Connection.execute` of an already compiled statement costs 70–90 µs of Python, this about 10. Only for the few statements of the hot path
(a report, the journal). The driver's errors come out as SQLAlchemy's, so that nobody needs to know. Result values are the driver's: no column with a
type that needs decoding (JSON, Boolean) may be selected.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import sqlalchemy as sa
from sqlalchemy.orm import Session

_Compiled = tuple[str, tuple[str, ...] | None, dict[str, Callable[[Any], Any]], Callable[[Any], Any] | None]


class Hot:
    """One statement. `defaults` fill bind parameters that a call leaves out (an INSERT's columns)."""

    def __init__(self, statement: sa.Executable, **defaults: Any) -> None:
        self._statement: Any = statement
        self._defaults = defaults
        self._compiled: dict[str, _Compiled] = {}

    def one_or_none(self, session: Session, params: Mapping[str, Any]) -> Any:
        """The only row as a named tuple, or None."""
        cursor, make = self._run(session, params)
        row = cursor.fetchone()
        return None if row is None or make is None else make(row)

    def one(self, session: Session, params: Mapping[str, Any]) -> Any:
        row = self.one_or_none(session, params)
        assert row is not None, "a statement that always answers gave no row"
        return row

    def all(self, session: Session, params: Mapping[str, Any]) -> list[Any]:
        cursor, make = self._run(session, params)
        return [] if make is None else [make(row) for row in cursor.fetchall()]

    def execute(self, session: Session, params: Mapping[str, Any]) -> int:
        """Number of rows changed."""
        return int(self._run(session, params)[0].rowcount)

    def _run(self, session: Session, params: Mapping[str, Any]) -> tuple[Any, Callable[[Any], Any] | None]:
        connection = session.connection()
        dialect = connection.dialect
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = self._compile(dialect)
        sql, order, encoders, make = found
        values: dict[str, Any] = {**self._defaults, **params}
        for name, encode in encoders.items():
            values[name] = encode(values[name])
        given: Any = values if order is None else [values[name] for name in order]
        try:
            return connection.connection.driver_connection.execute(sql, given), make  # type: ignore[union-attr]
        except dialect.loaded_dbapi.Error as error:
            _raise(sql, given, error, dialect)

    def _compile(self, dialect: sa.Dialect) -> _Compiled:
        compiled = self._statement.compile(dialect=dialect)
        positions = tuple(compiled.positiontup) if getattr(compiled, "positiontup", None) else None
        encoders = {
            name: encode for name, bind in compiled.binds.items() if (encode := bind.type.dialect_impl(dialect).bind_processor(dialect)) is not None
        }
        missing = set(compiled.params) - set(encoders)
        self._defaults = {**{name: value for name, value in compiled.params.items() if name in missing and value is not None}, **self._defaults}
        names = [column.name for column in self._statement.selected_columns] if self._statement.is_select else None
        if names is None and getattr(self._statement, "_returning", None):
            names = [column.name for column in self._statement.exported_columns]
        make: Any = getattr(namedtuple("Row", names), "_make") if names else None  # noqa: B009  made at run time
        return str(compiled), positions, encoders, make


def driver_execute(connection: sa.Connection, sql: str) -> None:
    """A bare statement (SAVEPOINT …) on the driver, errors as SQLAlchemy's."""
    try:
        connection.connection.driver_connection.execute(sql)  # type: ignore[union-attr]
    except connection.dialect.loaded_dbapi.Error as error:
        _raise(sql, None, error, connection.dialect)


def _raise(sql: str, params: Any, error: Exception, dialect: sa.Dialect) -> NoReturn:
    raise sa.exc.DBAPIError.instance(sql, params, error, dialect.loaded_dbapi.Error, dialect=dialect) from error
