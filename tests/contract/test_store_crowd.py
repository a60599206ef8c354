"""Many writers at a time: several coordinators, one truth."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from fleetjobs.messages import Stage
from fleetjobs.states import State
from fleetjobs.store.database import Database
from fleetjobs.store.events import list_events
from fleetjobs.store.handovers import mark_queued, runs_to_dispatch
from fleetjobs.store.jobs import get_job
from fleetjobs.store.replies import apply_replies
from tests.makers import NOW, keep_job, make_reply

NODES = [f"n{number}" for number in range(30)]


@pytest.mark.spec("S1-04")
def test_what_many_collect_at_a_time_is_counted_once(database: Database) -> None:
    """Each reply reaches two collectors, while two dispatchers still note the hand-over."""
    jobs = [keep_job(database, *NODES).id for _ in range(3)]
    replies = [
        make_reply(job, node, stage=stage) for job in jobs for node in NODES for stage in Stage
    ] * 2
    random.Random(7).shuffle(replies)  # noqa: S311  a shuffle, no key

    def collect(part: int) -> None:
        with database.transaction() as connection:
            apply_replies(connection, replies[part : part + 20], NOW)

    def dispatch(_: int) -> None:
        with database.reading() as connection:
            due = runs_to_dispatch(connection, NOW, 20)
        with database.transaction() as connection:
            mark_queued(connection, due, NOW, timedelta(minutes=1))

    with ThreadPoolExecutor(4) as pool:
        collecting = pool.map(collect, range(0, len(replies), 20))
        dispatching = pool.map(dispatch, range(10))
        list(collecting)
        list(dispatching)

    for job in jobs:
        with database.reading() as connection:
            found = get_job(connection, job, org=None)
            events = list_events(connection, org=None, job=job, limit=1000)
        assert found is not None
        assert found.tally == {State.SUCCEEDED: len(NODES)}
        assert [event.kind for event in events].count("run.succeeded") == len(NODES)
        assert [event.kind for event in events].count("run.queued") == len(NODES)
        assert events[-1].kind == "job.succeeded"
        places = {event.kind: place for place, event in enumerate(events) if event.node == "n1"}
        assert sorted(places, key=places.__getitem__) == [
            "run.queued",
            "run.running",
            "run.succeeded",
        ]
