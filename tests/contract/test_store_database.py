"""The database: transactions, migrations, times; the same on SQLite and PostgreSQL."""

import contextlib
import os
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import exc as wrong
from sqlalchemy import func, insert, select, update

from fleetjobs.access import FLEET
from fleetjobs.errors import DatabaseAway, InvalidSetting
from fleetjobs.store.bells import NotificationListener
from fleetjobs.store.database import Database, _prepare
from fleetjobs.store.schema.accounts import orgs
from fleetjobs.store.schema.nodes import nodes
from fleetjobs.store.schema.records import events
from fleetjobs.store.schema.whole import metadata
from tests.makers import NOW, add_org, enroll
from tests.processes import free_port


def test_the_migrations_make_the_tables_that_the_schema_names(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})

        assert compare_metadata(context, metadata) == []


def test_migrating_twice_at_a_time_is_migrating_once(empty_database_url: str) -> None:
    opened = [Database.open(empty_database_url) for _ in range(2)]

    with ThreadPoolExecutor() as pool:
        list(pool.map(Database.migrate, opened))

    with opened[0].reading() as connection:
        assert connection.execute(select(orgs.c.name)).scalars().all() == [FLEET]
    for database in opened:
        database.close()


@pytest.mark.spec("T3")
def test_an_exception_undoes_the_transaction(database: Database) -> None:
    with contextlib.suppress(RuntimeError), database.transaction() as connection:
        connection.execute(insert(orgs).values(name="undone", created_at=NOW))
        raise RuntimeError

    with database.reading() as connection:
        assert "undone" not in connection.execute(select(orgs.c.name)).scalars().all()


def test_a_reader_waits_for_no_writer(database: Database) -> None:
    with database.transaction() as writer, database.reading() as reader:
        writer.execute(insert(orgs).values(name="other", created_at=NOW))

        assert "other" not in reader.execute(select(orgs.c.name)).scalars().all()


def test_writers_that_read_first_queue_up_instead_of_failing(database: Database) -> None:
    """SQLite refuses, at once, a reader that turns writer after somebody else wrote."""
    enroll(database, "web1", alive=False)

    def count_up(_: int) -> None:
        with database.transaction() as connection:
            query = select(nodes.c.running).with_for_update()
            running = connection.execute(query).scalar_one()
            connection.execute(update(nodes).values(running=running + 1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count_up, range(40)))

    with database.reading() as connection:
        assert connection.execute(select(nodes.c.running)).scalar() == 40


def test_times_come_back_in_utc_and_naive_ones_are_refused(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(insert(orgs).values(name="b", created_at=NOW))
        kept = connection.execute(select(orgs.c.created_at).where(orgs.c.name == "b")).scalar_one()
        with pytest.raises(wrong.StatementError, match="no zone"):
            connection.execute(insert(orgs).values(name="c", created_at=datetime(2026, 1, 1)))  # noqa: DTZ001  that is the point

    assert kept == NOW
    assert str(kept.tzinfo) == "UTC"


def test_a_database_that_is_not_there_is_away() -> None:
    database = Database.open(f"postgresql://nobody@127.0.0.1:{free_port()}/none")

    with pytest.raises(DatabaseAway), database.reading():
        pass


def test_a_wire_that_swallows_all_is_given_up_soon_or_when_the_url_says(database: Database) -> None:
    """By queries and by who listens for bells; ours holds where the URL says nothing."""
    with database.reading() as connection:
        if connection.dialect.name == "sqlite":
            pytest.skip("a file has no wire")
        address = connection.engine.url.set(drivername="postgresql", query={})
    url = address.render_as_string(hide_password=False)
    asked = {"tcp_user_timeout": "7000", "connect_timeout": "4"}
    ours = {"tcp_user_timeout": "30000", "connect_timeout": "10", "keepalives_idle": "15"}

    for query, expected in (("", ours), ("?tcp_user_timeout=7000&connect_timeout=4", asked)):
        opened = Database.open(url + query)
        with contextlib.closing(opened), contextlib.closing(opened.listen("any")) as listener:
            assert isinstance(listener, NotificationListener)
            with opened.reading() as connection:
                drivers = [connection.connection.driver_connection, listener._connection]
                for driver in drivers:
                    assert isinstance(driver, psycopg.Connection)
                    assert driver.info.get_parameters().items() >= expected.items()
                    with socket.socket(fileno=os.dup(driver.fileno())) as wire:
                        patience_ms = wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                        assert patience_ms == int(expected["tcp_user_timeout"])
                        assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@pytest.mark.parametrize("url", ["sqlite://", "mysql://x/y", "nonsense", "sqlite:///:memory:"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(InvalidSetting):
        Database.open(url)


def test_the_password_is_not_shown() -> None:
    with pytest.raises(InvalidSetting) as refused:
        Database.open("mysql://user:hunter2@x/y")

    assert "hunter2" not in str(refused.value)


def test_a_number_of_an_event_is_never_used_again(database: Database) -> None:
    """Readers remember the last number they saw; a pruned log must not restart below it."""
    row = {"at": NOW, "kind": "k", "actor": "a", "detail": {}}
    with database.transaction() as connection:
        connection.execute(insert(events), [row, row])
        last = connection.execute(select(func.max(events.c.seq))).scalar_one()
        connection.execute(events.delete())
    add_org(database, "later")

    with database.transaction() as connection:
        connection.execute(insert(events), row)
        assert connection.execute(select(events.c.seq)).scalar_one() > last


def test_what_sqlite_committed_is_on_disk(tmp_path: Path) -> None:
    """The tests do without; a program prepares each connection so."""
    Database.open(f"sqlite:///{tmp_path / 'db'}").close()

    with contextlib.closing(sqlite3.connect(tmp_path / "db")) as connection:
        _prepare(connection, None)

        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
