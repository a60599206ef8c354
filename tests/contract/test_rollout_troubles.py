"""Rollouts in trouble: nodes that flap, come and go, people who pause, and plans that go back."""

from datetime import timedelta
from typing import Any

import pytest

from fleetjobs.access import Role
from fleetjobs.contract import Next
from fleetjobs.control.jobs import Control
from fleetjobs.names import JobId
from fleetjobs.plans.documents import Leg, OnFailure, Rollout
from fleetjobs.plans.shapes import leg_id
from fleetjobs.states import Completion, Reason, Rollback, State, WaitReason
from fleetjobs.store.access import Account, create_account, get_account
from fleetjobs.store.database import Database
from tests.contract.test_control_followers import FollowersDesk
from tests.contract.test_control_rollouts import NODES, end_well, handed, reap, roll
from tests.contract.test_store_rollbacks import BackDesk, leg
from tests.desk import MINUTE, WHO
from tests.makers import NOW, ORG, Clock, enroll, make_reply

TWO = {"rollout": Rollout(batch="2")}


class TroubledDesk(FollowersDesk, BackDesk):
    """A desk whose replies may ask for more, and whose plans go back."""


@pytest.fixture
def desk(database: Database) -> TroubledDesk:
    enroll(database, *NODES)
    with database.transaction() as connection:
        if get_account(connection, "alice") is None:
            alice = Account(name="alice", org=ORG, role=Role.OPERATOR, verify_key=None)
            create_account(connection, alice, now=NOW)
    clock = Clock()
    desk = TroubledDesk(Control(database, clock), clock)
    desk.beat(*NODES)
    return desk


@pytest.mark.spec("I8", "F18")
def test_a_pause_while_a_batch_is_handed_over_opens_no_other(desk: TroubledDesk) -> None:
    """One node has begun, one has its run on disk, and the rest knows nothing."""
    job = roll(desk)
    assert handed(desk) == ["web1", "web2"]
    desk.start(job, "web1")
    desk.control.verbs.hold(job, **WHO)

    desk.obey()
    end_well(desk, job, "web1")

    assert handed(desk) == []
    assert desk.run(job, "web2").reason is Reason.HOLD
    desk.control.verbs.release(job, **WHO)
    assert handed(desk) == ["web2"]
    end_well(desk, job, "web2")
    assert handed(desk) == ["web3", "web4"]


@pytest.mark.spec("I8", "F18")
def test_a_node_that_flaps_in_its_batch_counts_once_and_opens_one_batch(
    desk: TroubledDesk,
) -> None:
    """Lost, back, silent and back again: it has failed, and what it says later changes nothing."""
    job = roll(desk, max_failures="1")
    handed(desk)
    desk.start(job, "web1")
    end_well(desk, job, "web2")
    desk.later(5 * MINUTE)
    reap(desk)
    assert handed(desk) == ["web3", "web4"]
    desk.start(job, "web3")
    desk.start(job, "web4")

    for _ in range(2):
        desk.beat("web1", "web3", "web4")
        end_well(desk, job, "web1")
        desk.later(5 * MINUTE)
        desk.beat("web3", "web4")
        reap(desk)

    run = desk.run(job, "web1")
    assert (run.state, run.reason) == (State.FAILED, Reason.LOST)
    assert desk.kinds(job).count("rollout.batch") == 1
    assert desk.run(job, "web5").wait_reason is WaitReason.ROLLOUT
    end_well(desk, job, "web3", "web4")
    assert handed(desk) == ["web5", "web6"]
    end_well(desk, job, "web5", "web6")
    found = desk.job(job)
    assert (found.state, found.completion) == (State.SUCCEEDED, Completion.PARTIAL)


@pytest.mark.spec("I8", "F18")
def test_nodes_that_come_are_left_out_and_nodes_that_go_count_as_failed(
    desk: TroubledDesk, database: Database
) -> None:
    job = roll(desk, max_failures="1")
    handed(desk)
    enroll(database, "web7")
    desk.later(timedelta(minutes=2))

    desk.control.nodes.remove(desk.run(job, "web3").node, org=WHO["org"], account="bob")
    end_well(desk, job, "web1", "web2")

    run = desk.run(job, "web3")
    assert (run.state, run.reason) == (State.FAILED, Reason.NODE_REMOVED)
    assert handed(desk) == ["web4"]
    end_well(desk, job, "web4")
    assert handed(desk) == ["web5", "web6"]
    end_well(desk, job, "web5", "web6")
    assert desk.job(job).state is State.SUCCEEDED
    assert "web7" not in [run.node for run in desk.runs(job)]


def rolling_plan(desk: TroubledDesk, **changes: Any) -> JobId:
    """A plan of a leg everywhere, and one in batches behind it, which goes back if it fails."""
    legs: list[Leg] = [leg("a", *NODES), leg("b", *NODES, after="a", **(TWO | changes))]
    plan = desk.plan(*legs, on_failure=OnFailure.ROLLBACK)
    desk.handed()
    desk.succeed(plan, "a", *NODES)
    assert [node for _, node in desk.handed()] == ["web1", "web2"]
    return plan


@pytest.mark.spec("I8", "S4-09")
def test_a_rollout_that_fails_is_undone_where_it_was_and_the_leg_before_everywhere(
    desk: TroubledDesk,
) -> None:
    plan = rolling_plan(desk)
    desk.lose(plan, "b", "web2")
    assert desk.job(plan).state is State.RUNNING
    desk.succeed(plan, "b", "web1")

    assert desk.run(leg_id(plan, "b"), "web3").state is State.SKIPPED
    undone = desk.handed()
    assert ("undo:b", "web1") in undone
    assert {node for key, node in undone if key == "undo:a"} == set(NODES) - {"web1"}
    desk.undo(plan, "b", "web1")
    assert desk.handed() == [("undo:a", "web1")]
    desk.undo(plan, "a", *NODES)
    found = desk.job(plan)
    assert (found.state, found.rollback) == (State.FAILED, Rollback.DONE)


@pytest.mark.spec("I8", "S4-08")
def test_a_batch_stays_open_while_its_node_goes_back_and_forth(desk: TroubledDesk) -> None:
    plan = rolling_plan(desk, retries=1, retry_mode="rollback_to", rollback_to=("a",))
    desk.succeed(plan, "b", "web1")
    desk.lose(plan, "b", "web2")
    b = leg_id(plan, "b")

    for step in ("undo:a", "redo:a", None):
        assert [node for _, node in desk.handed()] == ["web2"]
        run = desk.run(b, "web2")
        assert run.step == step
        desk.say(make_reply(b, "web2", attempt=run.attempt))

    assert [node for _, node in desk.handed()] == ["web3", "web4"]


@pytest.mark.spec("S0-08", "S4-09")
def test_what_follows_a_leg_ends_before_its_plan_goes_back_and_is_named(
    desk: TroubledDesk,
) -> None:
    """Nobody said how to take back what an action asked for; nothing follows a rollback."""
    plan = desk.plan(leg("a"), leg("b", after="a"), on_failure=OnFailure.ROLLBACK)
    desk.handed()
    more = Next(agent="demo", action="echo", data={"text": "more"})
    desk.say(make_reply(leg_id(plan, "a"), next=(more,)))
    followers = [job for job, *_ in desk.hand_over() if job != leg_id(plan, "b")]
    (follower,) = followers
    desk.start(JobId(follower))

    desk.lose(plan, "b", "web1")

    assert desk.job(plan).state is State.RUNNING
    desk.say(make_reply(JobId(follower), next=(more,)))
    found = desk.job(plan)
    assert (found.state, found.irreversible) == (State.REVERTING, ("echo.3",))
    assert desk.handed() == [("undo:a", "web1")]
    desk.undo(plan, "a")
    found = desk.job(plan)
    assert (found.state, found.rollback) == (State.FAILED, Rollback.NOT_REVERSIBLE)
    assert desk.hand_over() == []
