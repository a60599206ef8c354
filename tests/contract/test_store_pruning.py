"""Pruning: what is old goes, what is needed stays."""

from datetime import timedelta

import pytest

from fleetjobs.control.jobs import Control
from fleetjobs.coordinator.pruner import Pruner, Retention
from fleetjobs.jobs import JobId, NodeId
from fleetjobs.messages import After, Output
from fleetjobs.store.attempts import list_attempts
from fleetjobs.store.database import Database
from fleetjobs.store.jobs import get_job
from fleetjobs.store.logs import Stream, log_size
from tests.desk import Desk
from tests.makers import ORG, Clock, enroll, make_reply

DAY = timedelta(days=1)
WEB1 = NodeId("web1")


@pytest.fixture
def desk(database: Database) -> Desk:
    """A desk with a node behind it."""
    enroll(database, "web1")
    clock = Clock()
    return Desk(Control(database, clock), clock)


@pytest.fixture
def pruner(desk: Desk) -> Pruner:
    """A pruner that keeps things as long as it does by default."""
    return Pruner(desk.control.database, desk.clock, Retention())


def ended(desk: Desk, **changes: object) -> JobId:
    """A job whose second attempt ended well, and wrote something."""
    job = desk.submit("web1", retries=1, **changes)
    desk.hand_over()
    desk.fail(job)
    desk.hand_over()
    desk.say(make_reply(job, attempt=2, stdout=Output(size=3, content=b"abc")))
    return job


def left(desk: Desk, job: JobId) -> tuple[bool, int, int]:
    """Whether the job is there, how much of its log, how many attempts."""
    with desk.control.database.reading() as connection:
        found = get_job(connection, job, org=ORG)
        size = log_size(connection, job, WEB1, 2, Stream.STDOUT)
        return found is not None, size, len(list_attempts(connection, job, WEB1))


def test_attempts_then_logs_then_jobs_are_forgotten(desk: Desk, pruner: Pruner) -> None:
    job = ended(desk)
    history = []

    for days in (6, 2, 23, 330, 10):
        desk.later(days * DAY)
        pruner.step()
        history.append(left(desk, job))

    assert history == [
        (True, 3, 2),
        (True, 3, 1),
        (True, 0, 1),
        (True, 0, 1),
        (False, 0, 0),
    ]
    assert desk.events(job) == []


def test_what_would_be_forgotten_can_be_foretold(desk: Desk, pruner: Pruner) -> None:
    job = ended(desk)
    desk.later(400 * DAY)

    assert pruner.foretell(10) == [job]
    assert left(desk, job)[0]


def test_what_lives_or_is_waited_for_stays(desk: Desk, pruner: Pruner) -> None:
    named = ended(desk)
    live = desk.submit("web1", keep=True, after=(After(job=named),))
    desk.later(400 * DAY)

    while pruner.step():
        if not left(desk, named)[1]:
            break

    assert left(desk, named)[0]
    assert left(desk, live)[0]
