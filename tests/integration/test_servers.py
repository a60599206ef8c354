"""The servers the other tests stand on answer, die, and come back with their data."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.conftest import refuse_or_skip
from tests.lending import Lender
from tests.servers import Postgres, Rabbit, Redis


def test_each_test_has_its_own_virtual_host(rabbit_url: str) -> None:
    with socket.create_connection((urlsplit(rabbit_url).hostname, urlsplit(rabbit_url).port)) as s:
        s.sendall(b"AMQP\x00\x00\x09\x01")

        assert s.recv(8)


def test_each_test_has_its_own_database(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE things (name text)")

        assert connection.execute("SELECT count(*) FROM things").fetchone() == (0,)


def test_a_database_that_was_lent_is_lent_again_as_new(lender: Lender) -> None:
    with lender.lend() as url:
        before = _dump(url)
    with lender.lend() as first, psycopg.connect(first) as connection:
        connection.execute("DELETE FROM epochs")
        connection.execute("UPDATE orgs SET name = 'other'")
        connection.execute("INSERT INTO orgs (name, created_at) VALUES ('acme', now())")
        connection.commit()
        lazy = psycopg.connect(first)  # whoever forgets to leave is shown out
        lazy.execute("LOCK TABLE orgs")
    lazy.close()

    with lender.lend() as second:
        assert _dump(second) == before
        assert second != first
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(first)


@pytest.mark.parametrize("change", ["CREATE TABLE more (name text)", "DROP INDEX {index}"])
def test_a_database_whose_tables_were_changed_is_not_lent_again(
    lender: Lender, change: str
) -> None:
    with lender.lend() as url, psycopg.connect(url, autocommit=True) as connection:
        query = "SELECT indexname FROM pg_indexes WHERE indexname LIKE 'ix%' LIMIT 1"
        [index] = connection.execute(query).fetchone() or [None]
        connection.execute(change.format(index=index).encode())
        oid = connection.execute(_OID).fetchone()

    with lender.lend() as url, psycopg.connect(url) as connection:
        assert connection.execute(_OID).fetchone() != oid


_OID = "SELECT oid FROM pg_database WHERE datname = current_database()"


def _dump(url: str) -> list[object]:
    """Every row of every table, and where the sequences stand."""
    every = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    counters = "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1"
    with psycopg.connect(url) as connection:
        tables = sorted(name for (name,) in connection.execute(every))
        rows = [connection.execute(f"TABLE {name}".encode()).fetchall() for name in tables]
        return [tables, rows, connection.execute(counters).fetchall()]


def test_a_killed_redis_comes_back_with_what_it_was_told(tmp_path: Path) -> None:
    with Redis(tmp_path) as server:
        say(server, b"SET name web1\r\n")

        server.kill()
        server.start()

        assert say(server, b"GET name\r\n") == b"$4\r\nweb1\r\n"


def test_a_killed_postgres_comes_back_with_what_it_was_told(tmp_path: Path) -> None:
    with Postgres(tmp_path) as server:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE things AS SELECT 1 AS name")

        server.kill()
        server.start()

        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT * FROM things").fetchone() == (1,)


def test_a_killed_rabbit_comes_back_with_its_durable_queues(tmp_path: Path) -> None:
    with Rabbit(tmp_path) as server:
        server.ask("PUT", "queues/%2F/node.web1", {"durable": True})

        server.kill()
        server.start()

        assert server.ask("GET", "queues/%2F/node.web1")


def test_a_paused_redis_keeps_its_connections_and_says_nothing(tmp_path: Path) -> None:
    with Redis(tmp_path) as server, socket.create_connection(("127.0.0.1", server.port)) as s:
        server.pause()
        s.sendall(b"PING\r\n")
        s.settimeout(0.2)
        with pytest.raises(TimeoutError):
            s.recv(64)

        server.resume()

        s.settimeout(5)
        assert s.recv(64) == b"+PONG\r\n"


def test_a_missing_server_skips_at_a_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception):
        refuse_or_skip("there is none")


def test_a_missing_server_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception):
        refuse_or_skip("there is none")


def say(server: Redis, command: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(command)
        return connection.recv(64)
