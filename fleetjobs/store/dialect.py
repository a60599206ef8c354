"""Dialect: the few things that SQLite and PostgreSQL say differently."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    FromClause,
    String,
    Table,
    bindparam,
    extract,
    func,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as lite

from fleetjobs.store.columns import Moment, to_json


def is_sqlite(connection: Connection) -> bool:
    """Whether it is SQLite that listens; else it is PostgreSQL."""
    return connection.dialect.name == "sqlite"


def insert(connection: Connection, table: Table) -> lite.Insert | postgresql.Insert:
    """An insert that can say what to do ON CONFLICT."""
    return inserting(table, sqlite=is_sqlite(connection))


def inserting(table: Table, *, sqlite: bool) -> lite.Insert | postgresql.Insert:
    """The same, to be built once for all connections to one kind of database."""
    return lite.insert(table) if sqlite else postgresql.insert(table)


def names(*, sqlite: bool) -> FromClause:
    """A table with the column `name`, whose rows `name_values` gives: one parameter, one plan."""
    if sqlite:
        rows = func.json_each(bindparam("names", type_=String)).table_valued("value")
        return select(rows.c.value.label("name")).subquery()
    array = bindparam("names", type_=ARRAY(String))
    return func.unnest(array).table_valued("name").render_derived()


def name_values(connection: Connection, values: Collection[str]) -> dict[str, Any]:
    """Any number of texts as the parameter of a statement with `names`."""
    return {"names": to_json(list(values)) if is_sqlite(connection) else list(values)}


def pairs(*, sqlite: bool) -> FromClause:
    """A table with the columns job and node, whose rows `pair_values` gives when it is asked."""
    if sqlite:
        rows = func.json_each(bindparam("pairs", type_=String)).table_valued("value")
        job, node = (_json_text(rows.c.value, place) for place in ("$[0]", "$[1]"))
        return select(job.label("job"), node.label("node")).subquery()
    arrays = (bindparam(part, type_=ARRAY(String)) for part in ("pair_jobs", "pair_nodes"))
    return func.unnest(*arrays).table_valued("job", "node").render_derived()


def pair_values(connection: Connection, keys: Collection[tuple[str, str]]) -> dict[str, Any]:
    """Any number of (job, node), at least one, as the parameters of a statement with `pairs`."""
    if is_sqlite(connection):
        return {"pairs": to_json(list(keys))}
    the_jobs, the_nodes = zip(*keys, strict=True)
    return {"pair_jobs": list(the_jobs), "pair_nodes": list(the_nodes)}


def seconds_since(
    connection: Connection, moment: ColumnElement[Any], now: datetime
) -> ColumnElement[Any]:
    """How long ago that moment was; SQLite counts in milliseconds."""
    until = literal(now, Moment)
    if is_sqlite(connection):
        return func.round((func.julianday(until) - func.julianday(moment)) * 86400.0, 3)
    return extract("epoch", until - moment)


def _json_text(value: Any, place: str) -> Any:
    return func.json_extract(value, place, type_=String)
