"""Rollouts at the desk: batch after batch, and nothing further once too many have failed."""

from datetime import timedelta
from typing import Any

import pytest

from fleetjobs.control.jobs import Control
from fleetjobs.coordinator.reaper import Reaper
from fleetjobs.errors import Conflict, InvalidRollout
from fleetjobs.jobs import Job
from fleetjobs.messages import Stage, Verb
from fleetjobs.names import JobId
from fleetjobs.plans.documents import Need, OnFailure, Rollout
from fleetjobs.plans.shapes import leg_id
from fleetjobs.rollouts import Phase
from fleetjobs.states import Completion, Reason, StartIf, State, WaitReason
from fleetjobs.store.database import Database
from tests.desk import MINUTE, WHO
from tests.makers import Clock, enroll, make_reply
from tests.plans import PlanDesk, make_leg

NODES = tuple(f"web{number}" for number in range(1, 7))
DAY = timedelta(days=1)

pytestmark = pytest.mark.spec("I8")


@pytest.fixture
def desk(database: Database) -> PlanDesk:
    """A desk with six nodes behind it."""
    enroll(database, *NODES)
    clock = Clock()
    return PlanDesk(Control(database, clock), clock)


def roll(desk: PlanDesk, *nodes: str, **rollout: Any) -> JobId:
    """A job that goes over the nodes in twos, unless said otherwise."""
    return desk.submit(*(nodes or NODES), rollout=Rollout(**{"batch": "2"} | rollout))


def reap(desk: PlanDesk) -> None:
    """Look for what is overdue, having listened for long."""
    Reaper(desk.control.database, desk.clock, lambda: desk.clock() - 10 * DAY).step()


def handed(desk: PlanDesk) -> list[str]:
    """The nodes to which runs are handed over now."""
    return [node for _, node, *_ in desk.hand_over()]


def end_well(desk: PlanDesk, job: JobId, *nodes: str) -> None:
    """The runs end well, told at once."""
    desk.say(*(make_reply(job, node) for node in nodes))


def course_of(job: Job) -> tuple[int, Phase]:
    """The batch that is out, and what the rollout does."""
    assert job.rollout is not None
    return job.rollout.turn, job.rollout.phase


def test_a_batch_begins_when_the_one_before_has_ended(desk: PlanDesk) -> None:
    job = roll(desk)

    assert handed(desk) == ["web1", "web2"]
    assert desk.run(job, "web3").wait_reason is WaitReason.ROLLOUT
    end_well(desk, job, "web1")
    assert handed(desk) == []
    end_well(desk, job, "web2")
    assert handed(desk) == ["web3", "web4"]
    end_well(desk, job, "web3", "web4")
    assert course_of(desk.job(job)) == (3, Phase.ROLLING)
    assert handed(desk) == ["web5", "web6"]
    end_well(desk, job, "web5", "web6")

    assert (desk.job(job).state, desk.job(job).completion) == (State.SUCCEEDED, Completion.FULL)
    assert desk.kinds(job).count("rollout.batch") == 2


def test_the_canary_goes_first(desk: PlanDesk) -> None:
    job = roll(desk, canary="1", batch="3")

    assert handed(desk) == ["web1"]
    end_well(desk, job, "web1")
    assert handed(desk) == ["web2", "web3", "web4"]


def test_nodes_come_as_they_are_listed(desk: PlanDesk) -> None:
    roll(desk, "web5", "web2", "web6")

    assert handed(desk) == ["web2", "web5"]


def test_no_further_run_begins_once_too_many_have_failed(desk: PlanDesk) -> None:
    job = roll(desk, max_failures="1")
    handed(desk)
    desk.fail(job, "web1")
    end_well(desk, job, "web2")
    assert handed(desk) == ["web3", "web4"]

    desk.start(job, "web4")
    desk.fail(job, "web3")

    assert handed(desk) == []
    assert [desk.run(job, node).state for node in NODES[4:]] == [State.SKIPPED] * 2
    assert desk.run(job, "web5").reason is Reason.ROLLOUT
    assert "too many had failed" in desk.run(job, "web5").statusmsg
    assert course_of(desk.job(job)) == (2, Phase.STOPPED)
    end_well(desk, job, "web4")
    found = desk.job(job)
    assert (found.state, found.completion) == (State.FAILED, Completion.PARTIAL)


def test_what_may_fail_does_not_fail_the_job(desk: PlanDesk) -> None:
    job = roll(desk, "web1", "web2", "web3", max_failures="1")
    handed(desk)
    desk.fail(job, "web1")
    end_well(desk, job, "web2")
    handed(desk)
    end_well(desk, job, "web3")

    assert (desk.job(job).state, desk.job(job).completion) == (State.SUCCEEDED, Completion.PARTIAL)


def test_what_nodes_have_and_did_not_begin_is_called_back(desk: PlanDesk) -> None:
    """The budget is spent within a batch: whoever has not begun never does."""
    job = roll(desk, batch="4")
    handed(desk)
    desk.say(make_reply(job, "web2", stage=Stage.ACCEPTED))
    desk.start(job, "web3")

    desk.fail(job, "web1")

    assert desk.run(job, "web5").state is State.SKIPPED
    assert desk.obey() == [Verb.WITHDRAW, Verb.WITHDRAW]
    assert desk.run(job, "web2").state is State.SKIPPED
    assert desk.run(job, "web4").state is State.SKIPPED
    end_well(desk, job, "web3")
    assert desk.job(job).state is State.FAILED


def test_what_was_about_to_be_handed_over_is_called_back_too(desk: PlanDesk) -> None:
    """Published by a coordinator that was killed before it noted that."""
    job = roll(desk)
    desk.fail(job, "web1")

    assert desk.run(job, "web2").state is State.WAITING
    assert handed(desk) == []
    assert desk.obey() == [Verb.WITHDRAW]
    assert desk.run(job, "web2").state is State.SKIPPED
    assert desk.job(job).state is State.FAILED


def test_what_began_before_it_was_called_back_counts_as_it_ends(desk: PlanDesk) -> None:
    job = roll(desk)
    handed(desk)
    desk.fail(job, "web1")
    desk.orders()

    desk.start(job, "web2")
    end_well(desk, job, "web2")

    assert desk.run(job, "web2").state is State.SUCCEEDED
    assert desk.job(job).state is State.FAILED


def test_the_next_batch_comes_after_its_rest(desk: PlanDesk) -> None:
    job = roll(desk, sleep_s=600)
    handed(desk)
    end_well(desk, job, "web1", "web2")

    found = desk.job(job)
    assert course_of(found) == (1, Phase.RESTING)
    assert (found.state, found.wait_reason) == (State.WAITING, WaitReason.ROLLOUT)
    desk.later(9 * MINUTE)
    reap(desk)
    assert handed(desk) == []
    desk.later(2 * MINUTE)
    reap(desk)
    reap(desk)

    assert handed(desk) == ["web3", "web4"]
    assert course_of(desk.job(job)) == (2, Phase.ROLLING)


@pytest.mark.parametrize("accepted", [True, False])
def test_a_node_that_does_not_begin_counts_as_failed(desk: PlanDesk, *, accepted: bool) -> None:
    job = roll(desk, max_failures="1", reach_s=120)
    handed(desk)
    end_well(desk, job, "web2")
    if accepted:
        desk.say(make_reply(job, "web1", stage=Stage.ACCEPTED))
    desk.later(MINUTE)
    reap(desk)
    assert desk.run(job, "web1").state is State.QUEUED

    desk.later(2 * MINUTE)
    reap(desk)

    run = desk.run(job, "web1")
    assert (run.state, run.reason) == (State.FAILED, Reason.LOST)
    assert "did not begin within 120 s" in run.statusmsg
    assert [order.verb for order in desk.orders()] == [Verb.STOP]
    assert handed(desk) == ["web3", "web4"]


def test_a_node_is_told_until_when_it_may_begin(desk: PlanDesk) -> None:
    """So that it does not, should it come back when its batch went on without it."""
    from fleetjobs.store.handovers import runs_to_dispatch

    job = roll(desk, reach_s=120)
    with desk.control.database.reading() as connection:
        due = [one for one in runs_to_dispatch(connection, desk.clock(), 1000) if one.job == job]

    assert {one.start_before for one in due} == {desk.clock() + 2 * MINUTE}


def test_nobody_is_left_behind_while_nobody_is_heard(desk: PlanDesk) -> None:
    job = roll(desk, reach_s=60)
    handed(desk)
    desk.later(2 * MINUTE)

    Reaper(desk.control.database, desk.clock, lambda: None).step()
    assert desk.run(job, "web1").state is State.QUEUED
    desk.later(2 * MINUTE)
    just_now = desk.clock()
    Reaper(desk.control.database, desk.clock, lambda: just_now).step()
    assert desk.run(job, "web1").state is State.QUEUED
    desk.later(MINUTE)
    Reaper(desk.control.database, desk.clock, lambda: just_now).step()

    assert desk.run(job, "web1").state is State.FAILED


def test_a_lost_node_counts_as_failed(desk: PlanDesk) -> None:
    job = roll(desk, max_failures="1")
    handed(desk)
    desk.beat("web1", "web2")
    desk.start(job, "web1")
    end_well(desk, job, "web2")

    desk.later(5 * MINUTE)
    reap(desk)

    run = desk.run(job, "web1")
    assert (run.state, run.reason) == (State.FAILED, Reason.LOST)
    assert [order.verb for order in desk.orders()] == [Verb.STOP]
    assert handed(desk) == ["web3", "web4"]


def test_a_person_lets_each_further_batch_begin(desk: PlanDesk) -> None:
    job = roll(desk, by_hand=True)
    assert handed(desk) == ["web1", "web2"]
    end_well(desk, job, "web1", "web2")

    found = desk.job(job)
    assert (found.state, found.reason, found.attention) == (State.PAUSED, Reason.ROLLOUT, True)
    assert handed(desk) == []
    with pytest.raises(Conflict):
        desk.control.verbs.resolve(job, outcome=State.FAILED, **WHO)
    assert desk.control.verbs.retry(job, **WHO).state is State.PAUSED
    found = desk.control.verbs.resume(job, **WHO)
    assert (found.state, found.attention) == (State.RUNNING, False)
    assert handed(desk) == ["web3", "web4"]
    end_well(desk, job, "web3", "web4")
    desk.control.verbs.release(job, **WHO)
    desk.control.verbs.release(job, **WHO)

    assert handed(desk) == ["web5", "web6"]


def test_a_held_rollout_goes_on_when_it_is_released(desk: PlanDesk) -> None:
    job = roll(desk)
    handed(desk)
    desk.start(job, "web1")
    desk.start(job, "web2")
    desk.control.verbs.hold(job, **WHO)
    end_well(desk, job, "web1", "web2")

    assert handed(desk) == []
    assert desk.job(job).state is State.PAUSED
    desk.control.verbs.release(job, **WHO)

    assert handed(desk) == ["web3", "web4"]
    assert desk.run(job, "web5").wait_reason is WaitReason.ROLLOUT


def test_a_cancelled_rollout_begins_nothing_more(desk: PlanDesk) -> None:
    job = roll(desk)
    handed(desk)
    end_well(desk, job, "web1")

    desk.control.verbs.cancel(job, force=True, **WHO)

    assert handed(desk) == []
    assert desk.job(job).state is State.CANCELLED


def test_a_retried_run_keeps_its_batch_open(desk: PlanDesk) -> None:
    job = desk.submit(*NODES, rollout=Rollout(batch="2"), retries=1)
    handed(desk)
    end_well(desk, job, "web2")
    desk.fail(job, "web1")

    assert desk.run(job, "web1").wait_reason is WaitReason.RETRY
    desk.later(5 * MINUTE)
    assert handed(desk) == ["web1"]
    desk.say(make_reply(job, "web1", attempt=2))

    assert handed(desk) == ["web3", "web4"]


def test_a_leg_rolls_when_what_it_needs_has_ended(desk: PlanDesk) -> None:
    needs = (Need(leg="a", when=StartIf.SUCCEEDED),)
    leg = make_leg("b", *NODES[:4], needs=needs, rollout=Rollout(batch="2"))
    plan = desk.plan(make_leg("a", *NODES[:4]), leg)
    desk.hand_over()

    desk.succeed(plan, "a", "web3", "web1")
    assert desk.handed() == [("b", "web1")]
    assert desk.run(leg_id(plan, "b"), "web3").wait_reason is WaitReason.ROLLOUT
    desk.succeed(plan, "a", "web2", "web4")
    assert desk.handed() == [("b", "web2")]
    desk.succeed(plan, "b", "web1", "web2")

    assert desk.handed() == [("b", "web3"), ("b", "web4")]
    desk.succeed(plan, "b", "web3", "web4")
    assert desk.job(plan).state is State.SUCCEEDED


def test_a_leg_that_stopped_leaves_out_what_needs_it(desk: PlanDesk) -> None:
    needs = (Need(leg="a", when=StartIf.SUCCEEDED),)
    plan = desk.plan(
        make_leg("a", *NODES, rollout=Rollout(batch="2")), make_leg("b", *NODES, needs=needs)
    )
    desk.handed()
    desk.succeed(plan, "a", "web1")
    desk.lose(plan, "a", "web2")

    assert desk.handed() == [("b", "web1")]
    desk.succeed(plan, "b", "web1")
    assert desk.states(plan, "a", "b") == [State.FAILED, State.SUCCEEDED]
    assert desk.run(leg_id(plan, "b"), "web6").state is State.SKIPPED
    assert desk.job(plan).state is State.FAILED


def test_a_leg_may_ask_a_person_instead_of_stopping(desk: PlanDesk) -> None:
    plan = desk.plan(make_leg("a", *NODES, rollout=Rollout(batch="2"), on_failure=OnFailure.PAUSE))
    leg = leg_id(plan, "a")
    desk.handed()
    desk.lose(plan, "a", "web1")
    desk.succeed(plan, "a", "web2")

    found = desk.job(plan)
    assert (found.state, found.attention) == (State.PAUSED, True)
    assert desk.handed() == []
    assert desk.run(leg, "web1").state is State.FAILED
    desk.control.verbs.resume(plan, **WHO)
    assert desk.handed() == [("a", "web3"), ("a", "web4")]
    desk.succeed(plan, "a", "web3", "web4")
    assert desk.handed() == [("a", "web5"), ("a", "web6")]
    desk.lose(plan, "a", "web5")
    desk.orders()
    desk.succeed(plan, "a", "web6")

    assert desk.job(plan).state is State.FAILED


@pytest.mark.parametrize("batch", ["0", "101%"])
def test_batches_that_cannot_be_meant_are_refused(desk: PlanDesk, batch: str) -> None:
    with pytest.raises(InvalidRollout, match="the batch is"):
        roll(desk, batch=batch)


def test_a_batch_larger_than_the_fleet_is_the_fleet(desk: PlanDesk) -> None:
    roll(desk, batch="100", canary="0")

    assert len(handed(desk)) == len(NODES)


def test_the_batches_of_a_rollout_cannot_be_edited(desk: PlanDesk) -> None:
    job = roll(desk)

    with pytest.raises(Conflict, match="batches"):
        desk.edit(job, rollout=None)
    desk.edit(job, data={"text": "other"})

    assert desk.job(job).data == {"text": "other"}
