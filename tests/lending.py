"""Lending: databases on the session's PostgreSQL, lent to one test after another.

To copy a database costs half a second of a core, to empty one a hundredth of that. Each test still
has a name of its own, and whoever goes on under an old name finds nothing there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from tests.keeper import next_number

WORN_BYTES = 8 * 1024 * 1024  #: what was deleted still takes room; beyond that it is made anew

_LEAVE = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s"
_SHAPE = """
    SELECT (SELECT count(*) FROM pg_attribute), (SELECT count(*) FROM pg_constraint),
           (SELECT count(*) FROM pg_index), (SELECT count(*) FROM pg_trigger),
           (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_db_role_setting)"""
_TABLES = """
    SELECT relname, pg_total_relation_size(oid) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"""
_RESTART = """
    SELECT setval(oid::regclass, 1, false) FROM pg_class
    WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"""


class Lender:
    """The databases of one process of the tests; each is as the template, whoever had it."""

    def __init__(self, server: str, shared: Path, template: str) -> None:
        """Lend copies of `template`; `server` is the URL of the server's own database."""
        self._place, self._shared, self._template = server.rpartition("/")[0], shared, template
        self._desk = psycopg.connect(server, autocommit=True)
        self._free: list[str] = []
        with psycopg.connect(f"{self._place}/{template}", autocommit=True) as original:
            self._shape = original.execute(_SHAPE).fetchone()
            self._size = _size(original)
            self._emptying = _emptying(original)

    @contextmanager
    def lend(self) -> Iterator[str]:
        """The URL of a database with all tables, and in them what the migrations wrote."""
        name = f"test{next_number(self._shared)}"
        if self._free:
            self._say("ALTER DATABASE {} RENAME TO {}", self._free.pop(), name)
        else:
            self._say("CREATE DATABASE {} TEMPLATE {}", name, self._template)
        yield f"{self._place}/{name}"
        self._desk.execute(_LEAVE, [name])
        if self._is_emptied(name):
            self._free.append(name)
        else:
            self._say("DROP DATABASE {} WITH (FORCE)", name)

    def close(self) -> None:
        """Lend no more; what is left goes with the server."""
        self._desk.close()

    def _is_emptied(self, name: str) -> bool:
        """Whether it is as new again; False where it grew, or got other tables."""
        with psycopg.connect(f"{self._place}/{name}", autocommit=True) as connection:
            if connection.execute(_SHAPE).fetchone() != self._shape:
                return False
            if _size(connection) > self._size + WORN_BYTES:
                return False
            connection.execute(self._emptying)
        return True

    def _say(self, statement: str, *names: str) -> None:
        spelt = map(sql.Identifier, names)
        self._desk.execute(sql.SQL(statement).format(*spelt))  # type: ignore[arg-type]  # our own words


def _size(connection: psycopg.Connection) -> int:
    return sum(size for _, size in connection.execute(_TABLES).fetchall())


def _emptying(original: psycopg.Connection) -> sql.Composed:
    """What brings any copy back to what this one holds."""
    tables = [sql.Identifier(table) for table, _ in original.execute(_TABLES).fetchall()]
    script = [sql.SQL("BEGIN"), sql.SQL("SET LOCAL session_replication_role = replica")]
    for table in tables:  # in any order, because foreign keys look away
        script.append(sql.SQL("DELETE FROM {}").format(table))
        found = original.execute(sql.SQL("SELECT json_agg(t)::text FROM {} t").format(table))
        [rows] = found.fetchone() or [None]
        if rows is not None:
            into = sql.SQL("INSERT INTO {0} SELECT * FROM json_populate_recordset(NULL::{0}, {1})")
            script.append(into.format(table, sql.Literal(rows)))
    return sql.SQL(";").join([*script, sql.SQL(_RESTART), sql.SQL("COMMIT")])
