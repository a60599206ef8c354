"""Locking: somebody else keeps the database busy, such as a backup or a forgotten session."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg

from tests.faults.fleet import Fleet

BUSY = (sqlite3.OperationalError, psycopg.OperationalError)


@contextmanager
def locked(fleet: Fleet) -> Iterator[None]:
    """No program can write meanwhile; on PostgreSQL none can read runs either.

    Raises BUSY if a program that is paused holds a lock itself.
    """
    if fleet.database is None:
        path = fleet.premises.database_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield
            connection.execute("ROLLBACK")
        return
    with psycopg.connect(fleet.database.url) as connection:
        connection.execute("SET lock_timeout = '5s'")
        connection.execute("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()
