"""Plans at the desk: accepted whole or refused whole, and carried out leg by leg."""

import pytest

from fleetjobs.control.jobs import Control
from fleetjobs.jobs import Kind
from fleetjobs.plans.documents import Need
from fleetjobs.states import Completion, State, WaitReason
from fleetjobs.store.database import Database
from tests.makers import Clock, enroll
from tests.plans import PlanDesk, make_leg


@pytest.fixture
def desk(database: Database) -> PlanDesk:
    """A desk with three nodes behind it."""
    enroll(database, "web1", "web2", "web3")
    clock = Clock()
    return PlanDesk(Control(database, clock), clock)


def test_a_chain_goes_leg_by_leg(desk: PlanDesk) -> None:
    plan = desk.plan(make_leg("a", "web1"), make_leg("b", "web1", needs=(Need(leg="a"),)))

    found = desk.job(plan)
    assert (found.kind, found.state, found.wait_reason) == (
        Kind.PLAN,
        State.WAITING,
        WaitReason.OUTBOX,
    )
    assert desk.leg(plan, "b").wait_reason is WaitReason.DEPENDENCY
    assert desk.handed() == [("a", "web1")]
    assert desk.job(plan).state is State.QUEUED

    desk.succeed(plan, "a", "web1")

    assert desk.job(plan).state is State.RUNNING
    assert desk.job(plan).percent == 50.0
    assert desk.handed() == [("b", "web1")]

    desk.succeed(plan, "b", "web1")

    found = desk.job(plan)
    assert (found.state, found.completion, found.percent) == (
        State.SUCCEEDED,
        Completion.FULL,
        100.0,
    )
    assert desk.kinds(plan) == ["job.accepted", "job.queued", "job.running", "job.succeeded"]
