"""Fixtures: real servers, shared by the session; each test has a corner of them to itself.

A server that is not installed skips the test at a desk and fails it where CI is set.
"""

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest

from tests.guest import GuestFiles, GuestMissing, have_guest
from tests.keeper import next_number, shared
from tests.lending import Lender
from tests.processes import ServerMissing
from tests.servers import ask_rabbit
from tests.tables import have_template, sqlite_url
from tests.thrift import be_thrifty


def pytest_configure(config: pytest.Config) -> None:
    """In the process that stays to the end: a directory for what the workers share.

    In each: a client of a server in the process itself logs nothing where a command may print.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)
    be_thrifty()
    if not hasattr(config, "workerinput"):
        directory = tempfile.mkdtemp(prefix="fleetjobs-tests-")
        config.add_cleanup(lambda: shutil.rmtree(directory, ignore_errors=True))
        config.stash[SHARED] = (Path(directory), os.getpid())


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell a worker of pytest-xdist where that is."""
    directory, session = node.config.stash[SHARED]  # type: ignore[attr-defined]  # of xdist
    node.workerinput["shared"] = (str(directory), session)  # type: ignore[attr-defined]  # of xdist


SHARED = pytest.StashKey[tuple[Path, int]]()


@pytest.fixture(scope="session")
def shared_place(request: pytest.FixtureRequest) -> tuple[Path, int]:
    """Where the session's servers are described, and the pid whose end ends them."""
    given = getattr(request.config, "workerinput", {}).get("shared")
    if given is None:
        return request.config.stash[SHARED]
    return Path(given[0]), given[1]


def _server(kind: str, place: tuple[Path, int]) -> dict[str, str]:
    try:
        return shared(kind, *place)
    except ServerMissing as missing:
        refuse_or_skip(str(missing))


def refuse_or_skip(reason: str) -> NoReturn:
    """Fail where CI is set, skip at a desk: a missing server must not pass for a tested one."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def guest_files() -> GuestFiles:
    """What a small real guest boots."""
    try:
        return have_guest()
    except GuestMissing as missing:
        refuse_or_skip(str(missing))


@pytest.fixture
def rabbit_url(shared_place: tuple[Path, int]) -> Iterator[str]:
    """A virtual host of its own on a real RabbitMQ."""
    server = _server("rabbit", shared_place)
    name = f"test{next_number(shared_place[0])}"
    ask_rabbit(server["management"], "PUT", f"vhosts/{name}", {})
    yield server["url"].replace("/%2F", f"/{name}")
    with contextlib.suppress(OSError):  # a test may have left the broker busy; it ends soon anyway
        ask_rabbit(server["management"], "DELETE", f"vhosts/{name}")


@pytest.fixture
def redis_url(shared_place: tuple[Path, int]) -> str:
    """A database of its own on a real Redis."""
    server = _server("redis", shared_place)
    return f"{server['url'].removesuffix('/0')}/{next_number(shared_place[0])}"


@pytest.fixture(scope="session")
def lender(shared_place: tuple[Path, int]) -> Iterator[Lender]:
    """Who lends the databases of a real PostgreSQL."""
    server = _server("postgres", shared_place)["url"]
    lender = Lender(server, shared_place[0], have_template(server, shared_place[0]))
    yield lender
    lender.close()


@pytest.fixture
def postgres_url(lender: Lender) -> Iterator[str]:
    """A database of its own on a real PostgreSQL, with all tables and nothing in them."""
    with lender.lend() as url:
        yield url


@pytest.fixture
def empty_postgres_url(shared_place: tuple[Path, int]) -> Iterator[str]:
    """One without tables."""
    server = _server("postgres", shared_place)["url"]
    name = f"test{next_number(shared_place[0])}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield server.removesuffix("/postgres") + f"/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(params=["rabbit", "redis"])
def broker_url(request: pytest.FixtureRequest) -> str:
    """Each broker that fleetjobs promises to work on, in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each database that fleetjobs promises to work on, in turn; all tables, nothing in them."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each of them, without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'fleetjobs.sqlite'}"
    url: str = request.getfixturevalue("empty_postgres_url")
    return url
