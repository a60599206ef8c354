"""Fixtures: a small database of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetjobs.store.database import Database
from tests.makers import Clock, add_org
from tests.tables import sqlite_url


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database with all tables and one org."""
    opened = Database.open(sqlite_url(tmp_path))
    add_org(opened)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()
