"""Headways: what programs at work tell of their progress is seen, and takes nothing back."""

import pytest

from fleetjobs.contract import Progress
from fleetjobs.control.jobs import Control
from fleetjobs.messages import Headway, RunHeadway
from fleetjobs.names import JobId
from fleetjobs.plans.shapes import leg_id
from fleetjobs.states import State
from fleetjobs.store.database import Database
from fleetjobs.store.headways import save_headways
from tests.makers import Clock, enroll, make_reply
from tests.plans import PlanDesk, make_leg


@pytest.fixture
def desk(database: Database) -> PlanDesk:
    """A desk with two nodes behind it."""
    enroll(database, "web1", "web2")
    clock = Clock()
    return PlanDesk(Control(database, clock), clock)


def tell(
    desk: PlanDesk,
    job: JobId,
    percent: float | None,
    text: str = "",
    node: str = "web1",
    attempt: int = 1,
) -> set[JobId]:
    """The node passes on what a program says."""
    run = RunHeadway(job=job, attempt=attempt, progress=Progress(percent=percent, text=text))
    with desk.control.database.transaction() as connection:
        return save_headways(connection, [Headway(node=node, runs=[run])], desk.clock())


def test_a_run_at_work_shows_how_far_it_is(desk: PlanDesk) -> None:
    job = desk.submit("web1", "web2")
    desk.hand_over()
    desk.start(job)

    concerned = tell(desk, job, 50, "half\0 way")

    assert concerned == {job}
    assert (desk.run(job).percent, desk.run(job).doing) == (50.0, "half\ufffd way")
    assert desk.job(job).percent == 25.0
    assert desk.kinds(job)[-1] == "job.running"  # it is no event


@pytest.mark.spec("S4-15")
def test_a_percentage_never_falls_and_its_text_is_the_last(desk: PlanDesk) -> None:
    job = desk.submit("web1")
    desk.hand_over()
    desk.start(job)
    tell(desk, job, 60, "later")

    tell(desk, job, 40, "earlier")
    tell(desk, job, None, "other")

    assert (desk.run(job).percent, desk.run(job).doing) == (60.0, "other")
    assert desk.job(job).percent == 60.0


def test_what_is_not_at_work_has_no_progress(desk: PlanDesk) -> None:
    """Nor what another attempt, or another node, said."""
    job = desk.submit("web1")
    tell(desk, job, 10)
    desk.hand_over()
    desk.start(job)

    tell(desk, job, 20, attempt=2)
    tell(desk, job, 30, node="web2")

    assert desk.run(job).percent is None


@pytest.mark.spec("S4-15")
def test_a_job_that_is_all_but_done_is_not_all_done(desk: PlanDesk) -> None:
    job = desk.submit("web1")
    desk.hand_over()
    desk.start(job)

    tell(desk, job, 100)

    assert desk.job(job).percent == 99.9
    desk.say(make_reply(job))
    assert desk.job(job).percent == 100.0


def test_another_attempt_begins_anew_and_its_job_takes_nothing_back(desk: PlanDesk) -> None:
    job = desk.submit("web1", retries=2)
    desk.hand_over()
    desk.start(job)
    tell(desk, job, 70)

    desk.fail(job)

    assert (desk.run(job).percent, desk.job(job).percent) == (None, 70.0)
    desk.hand_over()
    desk.start(job, attempt=2)
    tell(desk, job, 20, attempt=2)
    assert (desk.run(job).percent, desk.job(job).percent) == (20.0, 70.0)
    tell(desk, job, 80, attempt=2)
    assert desk.job(job).percent == 80.0


@pytest.mark.spec("S4-15")
def test_a_plan_counts_what_its_legs_are_at(desk: PlanDesk) -> None:
    plan = desk.plan(make_leg("a", "web1"), make_leg("b", "web2"))
    first = leg_id(plan, "a")
    desk.hand_over()
    desk.start(first)

    tell(desk, first, 50)

    assert desk.job(first).percent == 50.0
    assert desk.job(plan).percent == 25.0
    assert desk.job(plan).state is State.RUNNING
