"""Tables: databases that have them all and nothing in them, each a copy of one migrated once.

Migrating takes longer than most tests; who wants to see that asks for an empty database.
"""

import fcntl
import tempfile
from functools import cache
from pathlib import Path

import psycopg

from fleetjobs.store.database import Database

TEMPLATE = "tables"


def sqlite_url(directory: Path) -> str:
    """The address of a new database in a file of that directory."""
    path = directory / "fleetjobs.sqlite"
    path.write_bytes(_migrated())
    return f"sqlite:///{path}"


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "fleetjobs.sqlite"
        _migrate(f"sqlite:///{path}")
        return path.read_bytes()


def have_template(url: str, directory: Path) -> str:
    """The PostgreSQL database to copy; made by the first worker of the session that asks.

    `url` is that of the server's own database, `directory` what the session's workers share.
    """
    made = directory / "tables.made"
    with (directory / "tables.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {TEMPLATE}")
            _migrate(url.removesuffix("/postgres") + f"/{TEMPLATE}")
            made.touch()
    return TEMPLATE


def _migrate(url: str) -> None:
    database = Database.open(url)
    database.migrate()
    database.close()
