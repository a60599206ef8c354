"""Fixtures: a server in this process, on SQLite."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api_house import House, make_house
from tests.tables import sqlite_url


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A server's parts."""
    made = make_house(sqlite_url(tmp_path))
    yield made
    made.database.close()
