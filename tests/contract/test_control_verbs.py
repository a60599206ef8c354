"""Verbs: what a person may do to an accepted job, wherever it is."""

from datetime import timedelta

import pytest

from fleetjobs.control.jobs import Control
from fleetjobs.errors import Conflict, NotFound
from fleetjobs.jobs import Pending
from fleetjobs.messages import Stage, Verb
from fleetjobs.names import JobId, NodeId
from fleetjobs.requests import After
from fleetjobs.states import Reason, StartIf, State, WaitReason
from fleetjobs.store.database import Database
from tests.desk import MINUTE, WHO, Desk
from tests.makers import Clock, add_org, enroll, make_reply, new_id

HOUR = timedelta(hours=1)


@pytest.fixture
def desk(database: Database) -> Desk:
    """A desk with two nodes behind it, heard of just now."""
    enroll(database, "web1", "web2")
    clock = Clock()
    return Desk(Control(database, clock), clock)


def cancel(desk: Desk, job: JobId, *, force: bool = False) -> State:
    """Call it off; how it stands then."""
    return desk.control.verbs.cancel(job, force=force, **WHO).state


@pytest.mark.spec("S1-24")
def test_what_was_never_handed_over_is_cancelled_at_once(desk: Desk) -> None:
    job = desk.submit("web1", "web2", not_before=desk.clock() + 5 * HOUR)

    assert cancel(desk, job) is State.CANCELLED
    before = desk.job(job)
    assert cancel(desk, job) is State.CANCELLED

    assert desk.job(job) == before
    assert {run.reason for run in desk.runs(job)} == {Reason.CANCELLED}
    assert {run.pending for run in desk.runs(job)} == {None}
    desk.later(5 * HOUR)
    assert desk.hand_over() == []
    assert desk.orders() == []
    assert desk.events(job)[-1].actor == "account:bob"


def test_what_may_be_on_its_way_is_cancelled_at_once_and_its_node_is_told(desk: Desk) -> None:
    """The dispatcher publishes first and notes afterwards; killed in between, nobody knows."""
    job = desk.submit("web1")

    assert cancel(desk, job) is State.CANCELLED

    (order,) = desk.orders()
    assert (order.verb, order.attempt, order.generation) == (Verb.STOP, 1, 1)
    assert desk.run(job).pending is Pending.CANCEL


@pytest.mark.spec("S0-05")
def test_what_a_living_node_has_is_cancelled_when_it_confirms(desk: Desk) -> None:
    job = desk.submit("web1")
    desk.hand_over()

    assert cancel(desk, job) is State.CANCELLING
    assert desk.run(job).pending is Pending.CANCEL
    assert cancel(desk, job) is State.CANCELLING
    assert desk.obey() == [Verb.STOP]

    run = desk.run(job)
    assert (run.state, run.reason, run.pending) == (State.CANCELLED, None, None)
    assert desk.job(job).state is State.CANCELLED
    assert "run.running" not in desk.kinds(job)


@pytest.mark.spec("T11")
@pytest.mark.spec("S0-05")
def test_what_a_silent_node_has_is_cancelled_and_confirmed_when_it_is_back(desk: Desk) -> None:
    job = desk.submit("web1")
    desk.hand_over()
    desk.later(HOUR)

    assert cancel(desk, job) is State.CANCELLED
    assert desk.run(job).pending is Pending.CANCEL
    assert desk.obey() == [Verb.STOP]

    run = desk.run(job)
    assert (run.state, run.pending) == (State.CANCELLED, None)
    assert desk.kinds(job)[-1] == "run.confirmed"


def test_a_run_at_work_is_stopped_by_its_node(desk: Desk) -> None:
    job = desk.submit("web1")
    desk.hand_over()
    desk.start(job)

    assert cancel(desk, job) is State.CANCELLING
    desk.say(make_reply(job, state=State.CANCELLED, reason=Reason.CANCELLED, generation=1))

    assert desk.run(job).state is State.CANCELLED
    assert desk.job(job).reason is Reason.CANCELLED


def test_what_ended_before_the_stop_arrived_keeps_its_end(desk: Desk) -> None:
    job = desk.submit("web1")
    desk.hand_over()
    desk.start(job)
    cancel(desk, job)

    desk.say(make_reply(job))

    run = desk.run(job)
    assert (run.state, run.pending) == (State.SUCCEEDED, None)
    assert desk.orders() == []


@pytest.mark.spec("T15")
def test_force_ends_it_whatever_the_node_says(desk: Desk) -> None:
    job = desk.submit("web1")
    desk.hand_over()
    desk.start(job)
    cancel(desk, job)

    assert cancel(desk, job, force=True) is State.CANCELLED
    assert desk.run(job).pending is Pending.CANCEL
    desk.say(make_reply(job))

    assert desk.run(job).state is State.CANCELLED
    assert desk.run(job).pending is None
    assert desk.kinds(job)[-2:] == ["run.confirmed", "reply.late"]


def test_an_order_is_sent_again_once_its_node_is_heard_of(desk: Desk) -> None:
    from fleetjobs.coordinator.reaper import Reaper

    job = desk.submit("web1")
    desk.hand_over()
    cancel(desk, job)
    assert len(desk.orders()) == 1
    reaper = Reaper(desk.control.database, desk.clock)

    desk.later(2 * MINUTE)
    reaper.step()
    assert desk.orders() == []  # nobody heard of it since
    desk.beat("web1")
    desk.later(MINUTE)
    reaper.step()

    assert [order.verb for order in desk.orders()] == [Verb.STOP]
    assert desk.hand_over() == []


def test_one_node_of_many_may_be_cancelled(desk: Desk) -> None:
    job = desk.submit("web1", "web2")
    desk.hand_over()
    desk.start(job, "web1")
    desk.start(job, "web2")

    found = desk.control.verbs.cancel(job, nodes=[NodeId("web1")], **WHO)

    assert found.state is State.RUNNING
    assert [run.state for run in desk.runs(job)] == [State.CANCELLING, State.RUNNING]
    desk.say(make_reply(job, "web2"))
    assert desk.job(job).state is State.CANCELLING
    desk.say(make_reply(job, "web1", state=State.CANCELLED))
    assert desk.job(job).state is State.CANCELLED


@pytest.mark.parametrize("verb", ["cancel", "hold", "release", "retry", "resume"])
def test_what_is_not_theirs_is_not_there(desk: Desk, verb: str) -> None:
    add_org(desk.control.database, "other")
    job = desk.submit("web1")

    for org, name in (("other", job), ("acme", new_id())):
        with pytest.raises(NotFound):
            getattr(desk.control.verbs, verb)(name, org=org, account="bob")
    with pytest.raises(NotFound, match="web9"):
        getattr(desk.control.verbs, verb)(job, nodes=[NodeId("web9")], **WHO)


def test_what_waits_is_held_until_it_is_released(desk: Desk) -> None:
    job = desk.submit("web1", not_before=desk.clock() + 5 * HOUR)

    held = desk.control.verbs.hold(job, **WHO)
    assert (held.state, held.reason, held.attention) == (State.PAUSED, Reason.HOLD, False)
    assert desk.control.verbs.hold(job, **WHO) == held
    desk.later(4 * HOUR + MINUTE)
    assert desk.hand_over() == []

    assert desk.control.verbs.release(job, **WHO).state is State.SCHEDULED
    assert desk.hand_over() == [(job, "web1", 1, 0)]


def test_what_a_node_has_is_held_when_it_gives_it_back(desk: Desk) -> None:
    job = desk.submit("web1")
    desk.hand_over()
    desk.say(make_reply(job, stage=Stage.ACCEPTED))

    assert desk.control.verbs.hold(job, **WHO).state is State.QUEUED
    assert desk.run(job).pending is Pending.HOLD
    assert desk.obey() == [Verb.WITHDRAW]

    assert (desk.run(job).state, desk.run(job).pending) == (State.PAUSED, None)
    assert desk.job(job).state is State.PAUSED
    assert "job.running" not in desk.kinds(job)
    desk.control.verbs.release(job, **WHO)
    assert desk.hand_over() == [(job, "web1", 1, 2)]
    desk.say(make_reply(job, stage=Stage.ACCEPTED))  # the first one, come twice: no news
    assert desk.job(job).state is State.QUEUED


def test_what_began_before_it_could_be_held_goes_on(desk: Desk) -> None:
    job = desk.submit("web1")
    desk.hand_over()
    desk.control.verbs.hold(job, **WHO)

    desk.start(job)

    assert (desk.run(job).state, desk.run(job).pending) == (State.RUNNING, None)
    assert "run.hold_too_late" in desk.kinds(job)
    with pytest.raises(Conflict, match="begun"):
        desk.control.verbs.hold(job, **WHO)


def test_a_release_overrules_a_hold_that_is_on_its_way(desk: Desk) -> None:
    job = desk.submit("web1")
    desk.hand_over()
    desk.control.verbs.hold(job, **WHO)

    desk.control.verbs.release(job, **WHO)

    assert desk.obey() == [Verb.WITHDRAW]
    assert desk.run(job).wait_reason is WaitReason.OUTBOX
    assert desk.hand_over() == [(job, "web1", 1, 3)]


def test_a_held_job_may_come_too_late(desk: Desk) -> None:
    from fleetjobs.coordinator.reaper import Reaper

    job = desk.submit("web1", not_before=desk.clock() + 5 * HOUR)
    desk.control.verbs.hold(job, **WHO)

    desk.later(50 * HOUR)
    Reaper(desk.control.database, desk.clock).step()

    assert desk.job(job).state is State.EXPIRED


def test_create_and_cancel_at_once_are_both_accepted(desk: Desk) -> None:
    first = desk.submit("web1")
    cancel(desk, first)
    second = desk.submit("web1")
    desk.hand_over()
    desk.say(make_reply(second))

    assert desk.job(first).state is State.CANCELLED
    assert desk.job(second).state is State.SUCCEEDED


@pytest.mark.parametrize("end", [State.SUCCEEDED, State.FAILED])
def test_what_undoes_a_job_is_accepted_at_once_and_comes_after_it(desk: Desk, end: State) -> None:
    """To make something and to remove it, or the other way round: nobody has to come again."""
    first = desk.submit("web1", data={"text": "make"})
    second = desk.submit(
        "web1", data={"text": "remove"}, after=(After(job=first, when=StartIf.COMPLETED),)
    )

    assert [job for job, *_ in desk.hand_over()] == [first]
    desk.say(make_reply(first, state=end))

    assert [job for job, *_ in desk.hand_over()] == [second]
