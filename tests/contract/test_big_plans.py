"""Big plans: a wide chord with failures, and ten thousand legs."""

import time

import pytest

from fleetjobs.control.jobs import Control
from fleetjobs.errors import InvalidPlan
from fleetjobs.plans.documents import LEGS_MOST, Group, Need
from fleetjobs.plans.shapes import leg_id
from fleetjobs.states import Completion, Reason, State
from fleetjobs.store.database import Database
from tests.contract.shares import ONE_DATABASE
from tests.makers import Clock, enroll, make_reply
from tests.plans import PlanDesk, make_leg

NODES = [f"web{n}" for n in range(1, 21)]

pytestmark = pytest.mark.slow


@pytest.fixture
def desk(database: Database) -> PlanDesk:
    """A desk with twenty nodes behind it."""
    enroll(database, *NODES)
    clock = Clock()
    return PlanDesk(Control(database, clock), clock)


def wide(desk: PlanDesk, failing: int) -> tuple[str, list[str]]:
    """A chord of 1,000 headers, as many of which fail; the plan and the keys of the headers."""
    keys = [f"h{n}" for n in range(1000)]
    header = [make_leg(key, NODES[n % 20], group="header") for n, key in enumerate(keys)]
    body = make_leg("body", "web1", needs=(Need(leg="header"),))
    group = Group(key="header", max_failures="3")
    plan = desk.plan(*header, body, groups=(group,), max_failures="3")
    assert len(desk.handed()) == 1000
    ends = [State.FAILED] * failing + [State.SUCCEEDED] * (1000 - failing)
    replies = [
        make_reply(leg_id(plan, key), NODES[n % 20], state=end)
        for n, (key, end) in enumerate(zip(keys, ends, strict=True))
    ]
    for begin in range(0, 1000, 200):
        desk.say(*replies[begin : begin + 200])
    return plan, keys


@pytest.mark.timeout(300)
def test_a_wide_chord_tolerates_as_many_failures_as_it_may(desk: PlanDesk) -> None:
    plan, _ = wide(desk, failing=3)

    header = desk.leg(plan, "header")
    assert (header.state, header.completion) == (State.SUCCEEDED, Completion.PARTIAL)
    assert desk.handed() == [("body", "web1")]
    assert desk.handed() == []
    desk.succeed(plan, "body", "web1")

    found = desk.job(plan)
    assert (found.state, found.completion) == (State.SUCCEEDED, Completion.PARTIAL)
    assert desk.kinds(leg_id(plan, "body")).count("run.succeeded") == 1


@pytest.mark.timeout(300)
def test_a_wide_chord_with_one_failure_too_many_has_no_body(desk: PlanDesk) -> None:
    plan, _ = wide(desk, failing=4)

    body = desk.leg(plan, "body")
    assert (body.state, body.reason) == (State.SKIPPED, Reason.DEPENDENCY_FAILED)
    assert desk.handed() == []
    assert desk.job(plan).state is State.FAILED


@pytest.mark.timeout(300)
@ONE_DATABASE
def test_ten_thousand_legs_in_a_row_are_kept_and_left_out_when_one_fails(desk: PlanDesk) -> None:
    """What stands behind a failure is judged in memory: leg by leg it took minutes."""
    legs = [make_leg("l0", "web1")]
    legs += [make_leg(f"l{n}", "web1", needs=(Need(leg=f"l{n - 1}"),)) for n in range(1, LEGS_MOST)]
    before = time.process_time()
    plan = desk.plan(*legs)
    kept = time.process_time() - before
    assert desk.job(plan).tally.total() == LEGS_MOST
    assert desk.handed() == [("l0", "web1")]
    desk.succeed(plan, "l0", "web1")
    assert desk.handed() == [("l1", "web1")]
    before = time.process_time()

    desk.lose(plan, "l1", "web1")

    judged = time.process_time() - before
    found = desk.job(plan)
    assert (found.state, found.tally[State.SKIPPED]) == (State.FAILED, LEGS_MOST - 2)
    assert desk.leg(plan, f"l{LEGS_MOST - 1}").reason is Reason.DEPENDENCY_FAILED
    assert max(kept, judged) < 20.0  # about 4 and 3 on a calm machine


def test_more_legs_than_may_be_are_refused_and_nothing_is_kept(desk: PlanDesk) -> None:
    legs = [make_leg(f"l{n}", "web1") for n in range(LEGS_MOST + 1)]

    with pytest.raises(InvalidPlan, match="10001 legs and 0 groups are too many"):
        desk.plan(*legs)

    assert desk.handed() == []
