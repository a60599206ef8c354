"""Bells: heard after the commit, by those who listen to the topic, on both databases."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from fleetjobs.errors import DatabaseAway
from fleetjobs.store.bells import (
    CHANGES,
    DISPATCH,
    EVERYTHING,
    Listener,
    SocketListener,
    ring_sockets,
)
from fleetjobs.store.database import Database, ring

SOON = 5.0
AT_ONCE = 0.05


@pytest.fixture
def listener(database: Database) -> Iterator[Listener]:
    """Somebody who waits for changes."""
    hears = database.listen(CHANGES)
    yield hears
    hears.close()


def test_a_bell_is_heard_after_the_commit(database: Database, listener: Listener) -> None:
    with database.transaction() as connection:
        ring(connection, CHANGES, "j1,j2")
        assert listener.wait(AT_ONCE) is None

    assert listener.wait(SOON) == ["j1,j2"]


def test_a_bell_of_another_topic_is_not_heard(database: Database, listener: Listener) -> None:
    with database.transaction() as connection:
        ring(connection, DISPATCH)

    assert listener.wait(AT_ONCE) is None


def test_what_was_rolled_back_is_not_heard(database: Database, listener: Listener) -> None:
    with contextlib.suppress(RuntimeError), database.transaction() as connection:
        ring(connection, CHANGES, "j1")
        raise RuntimeError

    with database.transaction() as connection:
        ring(connection, CHANGES, "j2")
    assert listener.wait(SOON) == ["j2"]


def test_all_listeners_hear(database: Database, listener: Listener) -> None:
    other = database.listen(DISPATCH, CHANGES)

    with database.transaction() as connection:
        ring(connection, CHANGES, "j1")

    assert listener.wait(SOON) == ["j1"]
    assert other.wait(SOON) == ["j1"]
    other.close()


def test_a_payload_too_long_to_travel_means_everything(
    database: Database, listener: Listener
) -> None:
    with database.transaction() as connection:
        ring(connection, CHANGES, "x" * 8_000)

    assert listener.wait(SOON) == [EVERYTHING]


def test_a_bell_nobody_hears_disturbs_nobody(database: Database) -> None:
    with database.transaction() as connection:
        ring(connection, DISPATCH)


def test_a_listener_whose_connection_was_cut_reports_everything(
    postgres_url: str,
) -> None:
    database = Database.open(postgres_url)
    listener = database.listen(CHANGES)
    with database.transaction() as connection:
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
        connection.execute(text(query))

    with pytest.raises(DatabaseAway):
        listener.wait(SOON)
    assert listener.wait(SOON) == [EVERYTHING]

    with database.transaction() as connection:
        ring(connection, CHANGES, "j1")
    assert listener.wait(SOON) == ["j1"]
    listener.close()
    database.close()


def test_sockets_work_however_deep_the_directory_lies(tmp_path: Path) -> None:
    """The address of a socket has room for 108 bytes."""
    directory = tmp_path / ("d" * 120) / "bells"
    listener = SocketListener(directory, [CHANGES])

    ring_sockets(directory, CHANGES, "j1")

    assert listener.wait(SOON) == ["j1"]
    listener.close()


def test_the_socket_of_a_dead_listener_is_swept_away(tmp_path: Path) -> None:
    listener = SocketListener(tmp_path, [CHANGES])
    listener._socket.close()  # as a kill leaves it

    ring_sockets(tmp_path, CHANGES, "j1")

    assert list(tmp_path.iterdir()) == []


def test_a_listener_that_does_not_listen_blocks_nobody(tmp_path: Path) -> None:
    listener = SocketListener(tmp_path, [CHANGES])

    for _ in range(10_000):
        ring_sockets(tmp_path, CHANGES, "x" * 1000)

    assert listener.wait(SOON)
    listener.close()
