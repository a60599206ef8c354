"""Carrying: all that a database holds, as lines of one JSON document, and back into another one.

A row is a line, so that neither side ever has more than a few of them in memory:

    {"fleetjobs": "0.1.0", "format": 1, "revision": "0017", "moved": true, "tables": {
    "orgs": [
    {"name": "default", "created_at": "2026-11-21T04:00:00+00:00"}
    ],
    …
    }}
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, LargeBinary, Table, delete, func, insert, select, text

from fleetjobs.errors import Conflict, InvalidDocument
from fleetjobs.store.columns import Moment
from fleetjobs.store.schema.accounts import accounts, tokens
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.nodes import nodes
from fleetjobs.store.schema.schedules import schedules
from fleetjobs.store.schema.templates import templates
from fleetjobs.store.schema.whole import metadata

FORMAT = 1
PASSING = frozenset({"leases", "switches", "questions"})  #: what means nothing elsewhere
BATCH = 500  #: rows that are in memory at once
_NAME = re.compile(r'\A"([a-z_]+)": \[\Z')


def carried() -> list[Table]:
    """The tables, each after those it refers to."""
    return [table for table in metadata.sorted_tables if table.name not in PASSING]


def revision(connection: Connection) -> str:
    """Up to which migration the tables are."""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


def export_lines(connection: Connection, head: dict[str, Any]) -> Iterator[str]:
    """Everything, as of one moment. `head`: what else is said of it at its beginning."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    opening = head | {"format": FORMAT, "revision": revision(connection)}
    yield f'{json.dumps(opening)[:-1]}, "tables": {{\n'
    tables = carried()
    for table in tables:
        yield f'"{table.name}": [\n'
        rows = _rows(connection, table)
        last = next(rows, None)
        for row in rows:
            yield f"{last},\n"
            last = row
        if last is not None:
            yield f"{last}\n"
        yield "]\n" if table is tables[-1] else "],\n"
    yield "}}\n"


def _rows(connection: Connection, table: Table) -> Iterator[str]:
    query = select(table).order_by(*table.primary_key.columns)
    found = connection.execution_options(yield_per=BATCH).execute(query)
    for row in found.mappings():
        values = {name: _plain(value) for name, value in row.items()}
        yield msgspec.json.encode(values).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime) else value


def read_head(lines: Iterator[str]) -> dict[str, Any]:
    """What is said at the beginning of a document. Raises InvalidDocument."""
    try:
        head = json.loads(next(lines, "").rstrip("\n") + "}}")
        fits = head["format"] == FORMAT and head["tables"] == {}
    except (ValueError, KeyError, TypeError):
        fits = False
    if not fits:
        raise InvalidDocument("not as `fj export` writes it, a row on each line")
    found: dict[str, Any] = head
    return found


def check_empty(connection: Connection, except_account: str) -> None:
    """Let a database pass that has nothing but what `fj server init` makes. Raises Conflict."""
    for table, own in (
        (nodes, None),
        (jobs, None),
        (tokens, None),
        (accounts, accounts.c.name == except_account),
        (templates, templates.c.builtin),
        (schedules, schedules.c.builtin),
    ):
        query = select(func.count()).select_from(table)
        count = connection.execute(query if own is None else query.where(~own)).scalar_one()
        if count:
            raise Conflict(
                f"there are {count} {table.name} in the database already;"
                " everything is imported into an empty installation only"
            )


def import_lines(connection: Connection, lines: Iterable[str]) -> dict[str, int]:
    """Put all rows in place of what is there; how many, by table.

    `lines` are those behind the head. Raises InvalidDocument, also for a document that was cut off.
    """
    tables = {table.name: table for table in carried()}
    for table in reversed(tables.values()):
        connection.execute(delete(table))
    done: dict[str, int] = {}
    reading = (line.rstrip("\n") for line in lines)
    for line in reading:
        if line == "}}":
            _go_on_counting(connection)
            return done
        found = _NAME.match(line)
        if found is None or found[1] not in tables:
            raise InvalidDocument(f"a table is expected, not {line[:60]!r}")
        done[found[1]] = _fill(connection, tables[found[1]], reading)
    raise InvalidDocument("it ends too early: it was cut off; nothing was kept")


def _fill(connection: Connection, table: Table, reading: Iterator[str]) -> int:
    """Take the rows of one table."""
    batch: list[dict[str, Any]] = []
    for count, line in enumerate(reading):
        if line in {"]", "],"}:
            if batch:
                connection.execute(insert(table), batch)
            return count
        batch.append(_values(table, line))
        if len(batch) == BATCH:
            connection.execute(insert(table), batch)
            batch = []
    raise InvalidDocument("it ends too early: it was cut off; nothing was kept")


def _values(table: Table, line: str) -> dict[str, Any]:
    try:
        row = msgspec.json.decode(line.removesuffix(","), type=dict[str, Any])
        values = {name: _read(table, name, value) for name, value in row.items()}
    except (msgspec.MsgspecError, KeyError, ValueError, TypeError) as error:
        raise InvalidDocument(f"a row of {table.name} cannot be read: {error}") from None
    if values.keys() != set(table.columns.keys()):
        raise InvalidDocument(f"a row of {table.name} has other columns than this version")
    return values


def _read(table: Table, name: str, value: Any) -> Any:
    kind = table.columns[name].type
    if value is None:
        return None
    if isinstance(kind, Moment):
        return datetime.fromisoformat(value)
    return base64.b64decode(value) if isinstance(kind, LargeBinary) else value


def _go_on_counting(connection: Connection) -> None:
    """PostgreSQL's own numbers go on behind those that came along; SQLite sees to that itself."""
    if connection.dialect.name != "postgresql":
        return
    for table in carried():
        for column in table.primary_key.columns:
            query = text("SELECT pg_get_serial_sequence(:table, :column)")
            named = {"table": table.name, "column": column.name}
            sequence = connection.execute(query, named).scalar()
            last = (
                None if sequence is None else connection.execute(select(func.max(column))).scalar()
            )
            if last is not None:
                connection.execute(select(func.setval(sequence, last)))
