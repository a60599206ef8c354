"""Scans: no question of a job's way reads all that ever was; a fleet's past only grows."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from fleetjobs.control.jobs import Control
from fleetjobs.control.limits import Limits
from fleetjobs.names import NodeId
from fleetjobs.store.agenda import look_for_chores, look_for_errands
from fleetjobs.store.database import Database
from fleetjobs.store.denials import starts_ahead
from fleetjobs.store.events import list_events
from tests.conftest import sqlite_url
from tests.desk import Desk
from tests.makers import ORG, Clock, add_org, enroll, make_reply

#: a table read from end to end, also by its primary key; a partial index leaves out what has ended
SCAN = re.compile(
    r"SCAN (jobs|runs|events|attempts|logs)( USING (COVERING )?INDEX sqlite_autoindex_\w+)?"
)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    database = Database.open(sqlite_url(tmp_path))
    add_org(database)
    enroll(database, "web1")
    clock = Clock()
    yield Desk(Control(database, clock, Limits()), clock)
    database.close()


@pytest.fixture
def scans(desk: Desk) -> list[str]:
    """What SQLite says, from now on, of statements that scan."""
    found: list[str] = []

    def explain(connection: Any, _: object, statement: str, values: Any, *more: Any) -> None:
        if statement.startswith("BEGIN"):
            return
        asked = values[0] if more[-1] else values  # the last one says whether there are many
        raw = connection.connection.driver_connection
        steps = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", asked)]
        found.extend(f"{step}: {statement}" for step in steps if SCAN.fullmatch(step))

    event.listen(desk.control.database._engine, "before_cursor_execute", explain)
    return found


def test_a_jobs_way_reads_nothing_of_those_before_it(desk: Desk, scans: list[str]) -> None:
    database, now = desk.control.database, desk.clock()

    job = desk.submit("web1")
    with database.reading() as connection:
        look_for_errands(connection, now)
        look_for_chores(connection, now)
        starts_ahead(connection, now, after=None, limit=9)
        starts_ahead(connection, now, after=(job, NodeId("web1")), limit=9)
    desk.hand_over()
    desk.say(make_reply(job))
    with database.reading() as connection:
        list_events(connection, org=ORG, job=job, after=0, limit=9)

    assert scans == []
