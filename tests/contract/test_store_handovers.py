"""Handovers: what is due, what is asked after, what is given up."""

from datetime import datetime, timedelta

import pytest

from fleetjobs.messages import Stage
from fleetjobs.names import JobId, NodeId
from fleetjobs.states import Reason, State
from fleetjobs.store.database import Database
from fleetjobs.store.deadlines import end_overdue, runs_overdue
from fleetjobs.store.entries import RunName
from fleetjobs.store.handovers import (
    ask_again,
    mark_queued,
    runs_to_ask,
    runs_to_dispatch,
)
from fleetjobs.store.jobs import get_job
from fleetjobs.store.nodes import save_beats
from fleetjobs.store.replies import apply_replies
from fleetjobs.store.runs import get_run
from fleetjobs.store.standing import ANSWER_TIME
from tests.makers import NOW, enroll, keep_job, make_beat, make_reply

MINUTE = timedelta(minutes=1)
WEB1 = NodeId("web1")


def due(database: Database, now: datetime = NOW) -> list[RunName]:
    """Which runs are to be handed over."""
    with database.reading() as connection:
        return [(item.job, item.node) for item in runs_to_dispatch(connection, now, 100)]


def hand_over(database: Database, now: datetime = NOW) -> set[JobId]:
    """Note that the broker has all that is due."""
    with database.transaction() as connection:
        return mark_queued(connection, runs_to_dispatch(connection, now, 100), now, MINUTE)


def ask(database: Database, now: datetime) -> list[RunName]:
    """Have the runs asked after whose time for it has come."""
    with database.transaction() as connection:
        silent = runs_to_ask(connection, now, 100)
        ask_again(connection, silent, now)
        return silent


def beat(database: Database, now: datetime) -> None:
    """The node lives."""
    with database.transaction() as connection:
        save_beats(connection, [make_beat(at=now, inventory=None)], now)


def state(database: Database, job: JobId) -> tuple[State, State]:
    """How the job and its run on web1 stand."""
    with database.reading() as connection:
        found, run = get_job(connection, job, org=None), get_run(connection, job, WEB1)
    assert found is not None
    assert run is not None
    return found.state, run.state


def test_a_new_run_is_due_until_it_is_handed_over(database: Database) -> None:
    job = keep_job(database, "web1").id

    assert due(database) == [(job, "web1")]
    assert hand_over(database) == {job}

    assert due(database) == []
    assert state(database, job) == (State.QUEUED, State.QUEUED)


def test_a_handover_carries_what_the_node_needs(database: Database) -> None:
    job = keep_job(database, "web1", sealed="bytes", not_before=NOW)

    with database.reading() as connection:
        (item,) = runs_to_dispatch(connection, NOW, 10)

    assert (item.task, item.sealed, item.attempt) == ("demo.echo", "bytes", 1)
    assert (item.not_before, item.start_before) == (NOW, job.start_before)


@pytest.mark.spec("S1-05")
def test_only_what_costs_nothing_but_time_is_handed_over_loosely(database: Database) -> None:
    """Once: it is asked for again on the safe way."""
    enroll(database, "web1")
    inline = keep_job(database, "web1", inline=True)
    later = keep_job(database, "web1", inline=True, not_before=NOW)
    detached = keep_job(database, "web1")

    with database.reading() as connection:
        loose = {item.job: item.loose for item in runs_to_dispatch(connection, NOW, 10)}
    hand_over(database)
    beat(database, NOW + MINUTE)
    ask(database, NOW + 2 * MINUTE)
    with database.reading() as connection:
        again = runs_to_dispatch(connection, NOW + 2 * MINUTE, 10)

    assert loose == {inline.id: True, later.id: False, detached.id: False}
    assert [item.loose for item in again] == [False] * 3


def test_what_is_due_first_is_handed_over_first(database: Database) -> None:
    second = keep_job(database, "web1", not_before=NOW + 2 * MINUTE).id
    first = keep_job(database, "web1", not_before=NOW + MINUTE).id

    assert due(database) == []
    assert [job for job, _ in due(database, NOW + 2 * MINUTE)] == [first, second]


@pytest.mark.spec("S1-12")
def test_a_scheduled_job_is_queued_when_it_is_handed_over(database: Database) -> None:
    job = keep_job(database, "web1", state=State.SCHEDULED).id

    hand_over(database)

    assert state(database, job) == (State.QUEUED, State.QUEUED)


def test_marking_twice_changes_nothing_more(database: Database) -> None:
    job = keep_job(database, "web1").id
    with database.transaction() as connection:
        items = runs_to_dispatch(connection, NOW, 10)
        assert mark_queued(connection, items, NOW, MINUTE) == {job}

    with database.transaction() as connection:
        assert mark_queued(connection, items, NOW, MINUTE) == set()


def test_a_node_that_tells_nothing_is_asked_once_it_is_heard_of(database: Database) -> None:
    enroll(database, "web1")
    job = keep_job(database, "web1").id
    hand_over(database)

    assert ask(database, NOW + MINUTE) == []  # it was not heard of since the hand-over
    beat(database, NOW + MINUTE)
    assert ask(database, NOW + MINUTE / 2) == []  # too early
    assert ask(database, NOW + MINUTE) == [(job, "web1")]

    assert due(database, NOW + MINUTE) == [(job, "web1")]
    assert state(database, job) == (State.QUEUED, State.QUEUED)


def test_a_long_run_is_asked_after_ever_more_rarely(database: Database) -> None:
    enroll(database, "web1")
    job = keep_job(database, "web1").id
    hand_over(database)
    with database.transaction() as connection:
        apply_replies(connection, [make_reply(job, stage=Stage.STARTED)], NOW)
    asked: list[int] = []

    for minute in range(1, 200):
        now = NOW + minute * MINUTE
        beat(database, now)
        if ask(database, now):
            asked.append(minute)
            hand_over(database, now)

    assert asked == [1, 2, 4, 8, 16, 32, 64, 124, 184]


@pytest.mark.spec("F12")
def test_what_a_node_has_told_of_is_handed_over_as_a_question(database: Database) -> None:
    """So that nobody who does not have the attempt begins it."""
    enroll(database, "web1")
    job = keep_job(database, "web1").id
    with database.reading() as connection:
        (first,) = runs_to_dispatch(connection, NOW, 10)
    hand_over(database)
    with database.transaction() as connection:
        apply_replies(connection, [make_reply(job, stage=Stage.STARTED)], NOW)
    beat(database, NOW + MINUTE)
    ask(database, NOW + MINUTE)

    with database.reading() as connection:
        (again,) = runs_to_dispatch(connection, NOW + MINUTE, 10)

    assert (first.known, again.known) == (False, True)


def test_a_run_that_ended_is_not_asked_after(database: Database) -> None:
    enroll(database, "web1")
    job = keep_job(database, "web1").id
    hand_over(database)
    with database.transaction() as connection:
        apply_replies(connection, [make_reply(job)], NOW)
    beat(database, NOW + MINUTE)

    assert ask(database, NOW + MINUTE) == []


def test_a_run_that_ended_while_it_was_to_be_asked_is_not_handed_over(database: Database) -> None:
    enroll(database, "web1")
    job = keep_job(database, "web1").id
    hand_over(database)
    beat(database, NOW + MINUTE)
    ask(database, NOW + MINUTE)

    with database.transaction() as connection:
        apply_replies(connection, [make_reply(job)], NOW)

    assert due(database, NOW + MINUTE) == []


def expire(database: Database, now: datetime) -> set[JobId]:
    """End what is overdue."""
    with database.transaction() as connection:
        return end_overdue(connection, runs_overdue(connection, now, 100), now, since=None)


@pytest.mark.spec("T1")
@pytest.mark.spec("S1-21")
def test_a_run_that_was_not_handed_over_in_time_expires(database: Database) -> None:
    job = keep_job(database, "web1", start_before=NOW + MINUTE).id

    assert expire(database, NOW) == set()
    assert expire(database, NOW + MINUTE) == {job}

    assert state(database, job) == (State.EXPIRED, State.EXPIRED)
    assert due(database, NOW + MINUTE) == []
    with database.reading() as connection:
        found = get_job(connection, job, org=None)
    assert found is not None
    assert found.reason is Reason.START_BEFORE


@pytest.mark.spec("T11")
@pytest.mark.spec("T9")
def test_a_node_that_never_came_for_its_run_lets_it_expire(database: Database) -> None:
    """In time, and then some: it may have started and not yet said so."""
    job = keep_job(database, "web1", start_before=NOW + MINUTE).id
    hand_over(database)

    assert expire(database, NOW + MINUTE) == set()
    assert expire(database, NOW + MINUTE + ANSWER_TIME) == {job}

    assert state(database, job) == (State.EXPIRED, State.EXPIRED)


def test_a_run_that_a_node_has_does_not_expire_by_our_clock(database: Database) -> None:
    job = keep_job(database, "web1", start_before=NOW + MINUTE).id
    hand_over(database)

    with database.transaction() as connection:
        apply_replies(connection, [make_reply(job, stage=Stage.ACCEPTED)], NOW)

    assert expire(database, NOW + timedelta(days=9)) == set()
    assert state(database, job) == (State.QUEUED, State.QUEUED)
