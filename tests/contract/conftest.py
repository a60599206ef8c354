"""Fixtures for what must hold on every database."""

from collections.abc import Iterator

import pytest

from fleetjobs.store.database import Database
from tests.makers import add_org


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with all tables and one org."""
    opened = Database.open(database_url)
    add_org(opened)
    yield opened
    opened.close()
