"""Dialect: the few things that SQLite and PostgreSQL say differently."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    ARRAY,
    Connection,
    FromClause,
    String,
    Table,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from fleetjobs.store.columns import to_json


def is_sqlite(connection: Connection) -> bool:
    """Whether it is SQLite that listens; else it is PostgreSQL."""
    return connection.dialect.name == "sqlite"


def insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An insert that can say what to do ON CONFLICT."""
    return sqlite.insert(table) if is_sqlite(connection) else postgresql.insert(table)


def names(connection: Connection, values: Collection[str]) -> FromClause:
    """Any number of texts as a table with the column `name`: one parameter, one plan."""
    if is_sqlite(connection):
        rows = func.json_each(bindparam(None, to_json(list(values)), String)).table_valued("value")
        return select(rows.c.value.label("name")).subquery()
    array = bindparam(None, list(values), ARRAY(String))
    return func.unnest(array).table_valued("name").render_derived()


def pairs(connection: Connection, keys: Collection[tuple[str, str]]) -> FromClause:
    """Any number of (job, node) as a table with these columns; at least one."""
    if is_sqlite(connection):
        rows = func.json_each(bindparam(None, to_json(list(keys)), String)).table_valued("value")
        job, node = (_json_text(rows.c.value, place) for place in ("$[0]", "$[1]"))
        return select(job.label("job"), node.label("node")).subquery()
    arrays = (bindparam(None, list(part), ARRAY(String)) for part in zip(*keys, strict=True))
    return func.unnest(*arrays).table_valued("job", "node").render_derived()


def _json_text(value: Any, place: str) -> Any:
    return func.json_extract(value, place, type_=String)
