"""Deadlines: nothing waits for ever for a node that does not come back, unless asked to."""

from datetime import timedelta
from typing import Any

import pytest

from fleetjobs.control.jobs import Control
from fleetjobs.coordinator.reaper import Reaper
from fleetjobs.messages import Inventory, Stage, Verb
from fleetjobs.names import JobId
from fleetjobs.states import Reason, State
from fleetjobs.store.database import Database
from fleetjobs.store.handovers import Handover, runs_to_dispatch
from fleetjobs.store.nodes import save_beats
from fleetjobs.store.standing import ANSWER_TIME
from tests.desk import MINUTE, WHO, Desk
from tests.makers import Clock, demo_interface, enroll, make_beat, make_reply

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def desk(database: Database) -> Desk:
    """A desk with two nodes behind it, heard of just now."""
    enroll(database, "web1", "web2")
    clock = Clock()
    return Desk(Control(database, clock), clock)


def reap(desk: Desk, listening: timedelta | None = 10 * DAY) -> None:
    """Look for what is overdue, having listened for so long; None: deaf."""
    since = None if listening is None else desk.clock() - listening
    Reaper(desk.control.database, desk.clock, lambda: since).step()


def declare(desk: Desk, **traits: Any) -> None:
    """Let demo.echo be so on web1."""
    interface = demo_interface("1.1.0")
    interface["fleetjobs"]["actions"]["echo"] |= traits
    beat = make_beat("web1", inventory=Inventory(facts={}, interfaces={"demo": interface}))
    with desk.control.database.transaction() as connection:
        save_beats(connection, [beat], desk.clock())


def accepted(desk: Desk, **changes: Any) -> JobId:
    """A job that lies on the disk of its node."""
    job = desk.submit("web1", **changes)
    desk.hand_over()
    desk.say(make_reply(job, stage=Stage.ACCEPTED))
    return job


def lost(desk: Desk, **changes: Any) -> JobId:
    """A job that was at work on a node that fell silent two minutes ago."""
    job = accepted(desk, **changes)
    desk.start(job)
    desk.later(2 * MINUTE)
    reap(desk)
    assert desk.run(job).reason is Reason.LOST
    return job


def to_dispatch(desk: Desk, job: JobId) -> list[Handover]:
    """What of the job is to be handed over."""
    with desk.control.database.reading() as connection:
        due = runs_to_dispatch(connection, desk.clock(), 1000)
    return [item for item in due if item.job == job]


@pytest.mark.spec("G7")
def test_a_run_whose_node_never_returns_fails_at_its_deadline(desk: Desk) -> None:
    job = lost(desk)
    assert desk.run(job).expire_at == desk.clock() + DAY

    desk.later(DAY - MINUTE)
    reap(desk)
    assert desk.job(job).state is State.PAUSED
    desk.later(MINUTE)
    reap(desk)

    run, found = desk.run(job), desk.job(job)
    assert (run.state, run.reason, run.attention) == (State.FAILED, Reason.LOST, False)
    assert (found.state, found.reason, found.attention) == (State.FAILED, Reason.LOST, False)
    assert run.statusmsg == "given up: web1 was not heard of since 2026-11-21 04:00:00 UTC"


def test_a_node_that_returns_after_all_lets_go_and_its_reply_is_kept_as_late(desk: Desk) -> None:
    job = lost(desk)
    desk.later(DAY)
    reap(desk)
    (order,) = desk.orders()
    assert (order.job, order.verb, order.generation) == (job, Verb.STOP, 1)

    desk.say(make_reply(job, state=State.FAILED, statuscode=1, generation=1))

    assert desk.job(job).state is State.FAILED
    assert desk.kinds(job)[-2:] == ["run.confirmed", "reply.late"]
    assert desk.run(job).pending is None


def test_an_action_may_say_how_long_its_node_is_waited_for(desk: Desk) -> None:
    declare(desk, give_up_s=3600)
    job = lost(desk)

    desk.later(HOUR)
    reap(desk)

    assert desk.job(job).state is State.FAILED


@pytest.mark.parametrize("how", ["by the action", "by the caller"])
def test_whoever_says_so_waits_for_ever(desk: Desk, how: str) -> None:
    if how == "by the action":
        declare(desk, give_up_s=None)
    job = lost(desk, keep=how == "by the caller")

    desk.later(1000 * DAY)
    reap(desk, listening=999 * DAY)

    assert (desk.job(job).state, desk.job(job).attention) == (State.PAUSED, True)


def test_a_job_on_the_disk_of_a_node_that_never_returns_fails(desk: Desk) -> None:
    """Once it could no longer start, and its node was silent for as long as a lost one."""
    job = accepted(desk)
    before = desk.job(job).start_before
    assert before is not None

    desk.later(before + DAY - desk.clock() - MINUTE)
    reap(desk)
    assert desk.job(job).state is State.QUEUED
    desk.later(MINUTE)
    reap(desk)

    assert (desk.job(job).state, desk.job(job).reason) == (State.FAILED, Reason.LOST)


def test_a_job_waits_on_the_disk_of_a_node_that_lives(desk: Desk) -> None:
    """Its node knows by itself when it is too late to start."""
    job = accepted(desk)

    for _ in range(5):
        desk.later(DAY)
        desk.beat("web1")
        reap(desk)
    assert desk.job(job).state is State.QUEUED

    desk.later(DAY)
    reap(desk)
    assert desk.job(job).state is State.FAILED


@pytest.mark.parametrize("listening", [None, 10 * timedelta(seconds=1)])
def test_silence_while_nobody_listened_gives_nothing_up(
    desk: Desk, listening: timedelta | None
) -> None:
    jobs = [accepted(desk), lost(desk)]
    desk.later(10 * DAY)

    reap(desk, listening)
    assert [desk.job(job).state for job in jobs] == [State.QUEUED, State.PAUSED]

    desk.later(2 * MINUTE)
    reap(desk, 3 * MINUTE)
    assert [desk.job(job).state for job in jobs] == [State.FAILED, State.FAILED]


@pytest.mark.spec("T15")
def test_what_is_cancelled_and_never_confirmed_is_cancelled_at_last(desk: Desk) -> None:
    job = accepted(desk)
    desk.start(job)
    desk.control.verbs.cancel(job, **WHO)
    desk.later(2 * MINUTE)
    reap(desk)
    assert (desk.job(job).state, desk.job(job).attention) == (State.CANCELLING, True)

    desk.later(DAY)
    reap(desk)

    assert (desk.job(job).state, desk.job(job).reason) == (State.CANCELLED, Reason.LOST)
    assert desk.run(job).pending is not None  # its node is told, should it come back


def test_another_attempt_that_nobody_comes_for_expires(desk: Desk) -> None:
    job = desk.submit("web1", retries=1)
    desk.hand_over()
    desk.later(2 * DAY)  # longer than the job itself had to start
    desk.fail(job)
    (item,) = to_dispatch(desk, job)
    assert (item.attempt, item.start_before) == (2, desk.clock() + DAY)
    desk.hand_over()

    desk.later(DAY)
    reap(desk)
    assert desk.job(job).state is State.QUEUED
    desk.later(ANSWER_TIME)
    reap(desk)

    assert (desk.job(job).state, desk.job(job).reason) == (State.EXPIRED, Reason.START_BEFORE)


def test_an_attempt_that_is_handed_over_again_has_the_same_limit(desk: Desk) -> None:
    job = desk.submit("web1", retries=1)
    desk.hand_over()
    desk.fail(job)
    (first,) = to_dispatch(desk, job)
    desk.hand_over()

    desk.later(2 * MINUTE)
    desk.beat("web1")
    reap(desk)
    (again,) = to_dispatch(desk, job)

    assert (again.attempt, again.start_before) == (2, first.start_before)


def test_a_lost_run_that_is_tried_again_in_vain_expires(desk: Desk) -> None:
    declare(desk, idempotent=True, on_lost="retry", max_attempts=3)
    job = accepted(desk)
    desk.start(job)
    desk.later(2 * MINUTE)
    reap(desk)
    desk.hand_over()

    desk.later(DAY + ANSWER_TIME)
    reap(desk)

    assert desk.job(job).state is State.EXPIRED


def test_an_attempt_that_is_held_too_long_expires_by_its_own_limit(desk: Desk) -> None:
    job = desk.submit("web1", retries=1)
    desk.hand_over()
    desk.later(2 * DAY)
    desk.fail(job)
    desk.control.verbs.hold(job, **WHO)

    reap(desk)
    assert desk.job(job).state is State.PAUSED
    desk.later(DAY)
    reap(desk)

    assert desk.job(job).state is State.EXPIRED
