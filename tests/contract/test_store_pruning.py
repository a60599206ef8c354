"""Pruning: what is old goes, what is needed stays."""

from datetime import timedelta

import pytest

from fleetjobs.control.jobs import Control
from fleetjobs.coordinator.pruner import Pruner, Retention
from fleetjobs.messages import Output
from fleetjobs.names import JobId, NodeId
from fleetjobs.plans.documents import Need
from fleetjobs.plans.shapes import leg_id
from fleetjobs.requests import After
from fleetjobs.states import StartIf, State
from fleetjobs.store.attempts import list_attempts
from fleetjobs.store.database import Database
from fleetjobs.store.jobs import get_job
from fleetjobs.store.logs import Stream, log_size
from tests.desk import Desk
from tests.makers import ORG, Clock, enroll, make_reply
from tests.plans import PlanDesk, make_leg

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


@pytest.fixture
def plans(desk: Desk) -> PlanDesk:
    """The same desk, where plans are handed in."""
    return PlanDesk(desk.control, desk.clock)


def chain(plans: PlanDesk) -> JobId:
    """A plan of two legs, the first of which has succeeded."""
    plan = plans.plan(
        make_leg("a", "web1"), make_leg("b", "web1", needs=(Need(leg="a"),)), max_failures="1"
    )
    plans.hand_over()
    plans.succeed(plan, "a", "web1")
    return plan


def is_there(plans: PlanDesk, *jobs: JobId) -> list[bool]:
    """Which of the jobs are in the database."""
    with plans.control.database.reading() as connection:
        return [get_job(connection, job, org=ORG) is not None for job in jobs]


def test_legs_stay_as_long_as_their_plan_lives_and_go_with_it(
    plans: PlanDesk, pruner: Pruner
) -> None:
    plan = chain(plans)
    parts = plan, leg_id(plan, "a"), leg_id(plan, "b")
    plans.control.verbs.hold(plan, org=ORG, account="bob")
    plans.later(400 * DAY)
    pruner.step()
    assert is_there(plans, *parts) == [True, True, True]

    plans.control.verbs.cancel(plan, org=ORG, account="bob", force=True)
    plans.later(400 * DAY)
    while pruner.foretell(10):
        pruner.step()

    assert is_there(plans, *parts) == [False, False, False]
    assert [plans.events(part) for part in parts] == [[], [], []]


def test_a_plan_of_which_a_live_job_waits_for_a_leg_stays(plans: PlanDesk, pruner: Pruner) -> None:
    plan = chain(plans)
    plans.submit("web1", keep=True, after=(After(job=leg_id(plan, "b"), when=StartIf.FAILED),))
    waiting = plans.submit("web1", keep=True, after=(After(job=leg_id(plan, "a")),))
    plans.control.verbs.hold(waiting, org=ORG, account="bob")
    plans.hand_over()
    plans.succeed(plan, "b", "web1")
    plans.later(400 * DAY)

    pruner.step()

    assert is_there(plans, plan, leg_id(plan, "a")) == [True, True]


@pytest.mark.spec("S4-12")
def test_legs_of_plans_that_succeeded_can_go_at_once(plans: PlanDesk) -> None:
    """And those of others stay for whoever looks into it."""
    done, failed = chain(plans), plans.plan(make_leg("a", "web1"))
    plans.hand_over()
    plans.lose(done, "b", "web1")
    plans.lose(failed, "a", "web1")
    at_once = Retention(legs=timedelta())
    plans.later(timedelta(seconds=1))

    Pruner(plans.control.database, plans.clock, at_once).step()

    found = plans.job(done)
    assert (found.state, found.percent) == (State.SUCCEEDED, 100.0)
    assert found.leg_summary == {"total": 2, "succeeded": 1}
    assert is_there(plans, leg_id(done, "a"), leg_id(failed, "a")) == [False, True]
