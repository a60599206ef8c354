"""Bulk: many rows by one statement, their values made ready column by column.

SQLAlchemy makes parameters ready row by row, and that takes longer than SQLite takes to write them.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import BindParameter, Connection, Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import Insert, Update

from fleetjobs.store.columns import Moment, Word

_FEW = 4  #: rows that SQLAlchemy makes ready as quickly


def write_rows(
    connection: Connection, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]
) -> int:
    """Execute the statement for each of the rows, which name the same values; how many it wrote.

    The statement is kept: it has to be one that is built once.
    """
    if len(rows) < _FEW:
        return connection.execute(statement, list(rows)).rowcount
    prepared = _prepare(statement, connection.dialect, tuple(rows[0]))
    ready = zip(*(column.ready(rows) for column in prepared.columns), strict=True)
    names = prepared.names
    values = list(ready) if names is None else [dict(zip(names, row, strict=True)) for row in ready]
    return connection.exec_driver_sql(prepared.text, values).rowcount


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """One value of each row."""

    name: str
    convert: Callable[[Any], Any] | None  # makes it what the driver takes
    repeats: bool  # it is one of few values: made ready once each
    fixed: tuple[Any, ...] = ()  # the one that the statement says itself, the same in each row

    def ready(self, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        values = [*self.fixed] * len(rows) if self.fixed else [row[self.name] for row in rows]
        convert = self.convert
        if convert is None:
            return values
        if not self.repeats:
            return [convert(value) for value in values]
        known = {value: convert(value) for value in set(values)}
        return [known[value] for value in values]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A statement as the driver takes it."""

    text: str
    columns: Sequence[_Column]
    names: Sequence[str] | None  # None: values are told by their places


@lru_cache(maxsize=500)
def _prepare(statement: Insert | Update, dialect: Dialect, names: tuple[str, ...]) -> _Prepared:
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    assert isinstance(compiled, SQLCompiler)  # noqa: S101  what SQL is compiled to
    places = compiled.positiontup
    order = list(compiled.binds) if places is None else places
    columns = [_column(name, compiled.binds[name], dialect, names) for name in order]
    return _Prepared(text=compiled.string, columns=columns, names=order if places is None else None)


def _column(
    name: str, bind: BindParameter[Any], dialect: Dialect, names: Container[str]
) -> _Column:
    convert = bind.type.dialect_impl(dialect).bind_processor(dialect)
    repeats = isinstance(bind.type, Moment | Word)
    fixed = () if name in names else (bind.effective_value,)
    return _Column(name=name, convert=convert, repeats=repeats, fixed=fixed)
