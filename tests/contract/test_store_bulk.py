"""Bulk: many rows are written as a few are."""

from datetime import timedelta, timezone

import pytest

from fleetjobs.errors import InvalidTransition
from fleetjobs.jobs import Dependency
from fleetjobs.names import NodeId
from fleetjobs.states import StartIf, State
from fleetjobs.store.database import Database
from fleetjobs.store.dependencies import add_links, list_dependencies, note_met
from fleetjobs.store.events import add_events, event_row, list_events
from fleetjobs.store.locking import update_alike
from fleetjobs.store.schema.runs import runs
from tests.makers import NOW, ORG, keep_job, new_id


def test_many_rows_are_kept_as_a_few_are(database: Database) -> None:
    """Times in any zone, words, JSON and nothing at all: whoever reads them sees no difference."""
    elsewhere = NOW.astimezone(timezone(timedelta(hours=2)))
    found = []
    for count in (1, 9):
        job = new_id()
        rows = [
            event_row(
                at=(NOW, elsewhere)[place % 2],
                kind="run.queued",
                actor="coordinator",
                org=ORG,
                job=job,
                new=State.QUEUED if place % 3 else None,
                detail={"place": place, "text": "ä"},
            )
            for place in range(count)
        ]
        with database.transaction() as connection:
            add_events(connection, rows)
        with database.reading() as connection:
            found.append(list_events(connection, org=ORG, job=job, limit=100))

    (alone,), many = found
    assert [event.detail for event in many] == [{"place": n, "text": "ä"} for n in range(9)]
    assert {event.at for event in (alone, *many)} == {NOW}
    assert [event.new for event in many[:3]] == [None, State.QUEUED, State.QUEUED]
    assert alone.new is many[0].new
    assert alone.reason is many[0].reason


def test_one_row_that_was_changed_meanwhile_stops_all_of_them(database: Database) -> None:
    job = keep_job(database, *(f"web{n}" for n in range(9))).id
    rows = [
        {"_job": job, "_node": f"web{n}", "_state": State.WAITING, "state": State.QUEUED}
        for n in range(9)
    ]
    rows[5]["_state"] = State.RUNNING

    with (
        pytest.raises(InvalidTransition, match="1 runs changed under a lock"),
        database.transaction() as connection,
    ):
        update_alike(connection, runs, rows, ("job", "node"))


def test_what_the_statement_says_itself_is_the_same_in_each_row(database: Database) -> None:
    first = keep_job(database, *(f"web{n}" for n in range(9))).id
    second = keep_job(database, *(f"web{n}" for n in range(9))).id
    links = [
        Dependency(
            job=second,
            node=NodeId(f"web{n}"),
            on_job=first,
            on_node=NodeId(f"web{n}"),
            when=StartIf.SUCCEEDED,
            met=False,
        )
        for n in range(9)
    ]
    with database.transaction() as connection:
        add_links(connection, links)
        note_met(connection, links[1:])
        found = list_dependencies(connection, second)

    assert [one.met for one in found] == [False] + [True] * 8
