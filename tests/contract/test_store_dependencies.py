"""Dependencies: a job waits for another, and is judged when that one ends."""

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import pytest

from fleetjobs.control.jobs import Control
from fleetjobs.errors import InvalidDocument, UnknownDependency
from fleetjobs.names import JobId
from fleetjobs.requests import After
from fleetjobs.states import Reason, StartIf, State, WaitReason
from fleetjobs.store.database import Database
from fleetjobs.store.dependencies import judge, list_dependencies
from fleetjobs.store.replies import apply_replies
from tests.contract.shares import ONE_DATABASE
from tests.desk import WHO, Desk
from tests.makers import NOW, ORG, Clock, add_org, enroll, keep_job, make_reply, new_id

ENDS = [State.SUCCEEDED, State.FAILED, State.SKIPPED, State.CANCELLED, State.EXPIRED]


@pytest.fixture
def desk(database: Database) -> Desk:
    """A desk with two nodes behind it."""
    enroll(database, "web1", "web2")
    clock = Clock()
    return Desk(Control(database, clock), clock)


def after(desk: Desk, job: JobId, node: str | None = None, when: str = "succeeded") -> JobId:
    """A job on web2 that waits for that one."""
    return desk.submit("web2", after=(After(job=job, node=node, when=StartIf(when)),))


@pytest.mark.parametrize("when", StartIf)
@pytest.mark.parametrize("state", State)
def test_the_table_of_ends_and_what_was_waited_for(state: State, when: StartIf) -> None:
    """Each condition of each end."""
    runs = {
        StartIf.SUCCEEDED: {State.SUCCEEDED},
        StartIf.FAILED: {State.FAILED},
        StartIf.COMPLETED: set(ENDS),
        StartIf.ALWAYS: set(ENDS),
    }

    expected = None if state not in ENDS else state in runs[when]

    assert judge(state, when) is expected


@pytest.mark.spec("S0-09")
def test_a_job_starts_when_the_one_it_waits_for_succeeded(desk: Desk) -> None:
    first = desk.submit("web1")
    second = after(desk, first)
    waiting = desk.job(second)
    assert (waiting.state, waiting.wait_reason) == (State.WAITING, WaitReason.DEPENDENCY)
    assert [job for job, *_ in desk.hand_over()] == [first]

    desk.say(make_reply(first))

    assert desk.job(second).wait_reason is WaitReason.OUTBOX
    assert [job for job, *_ in desk.hand_over()] == [second]


@pytest.mark.spec("T9")
@pytest.mark.spec("S0-09")
def test_a_job_is_skipped_when_the_one_it_waits_for_failed(desk: Desk) -> None:
    first = desk.submit("web1")
    second = after(desk, first)
    third = after(desk, second)
    otherwise = after(desk, second, when="completed")
    desk.hand_over()

    desk.fail(first)

    run = desk.run(second, "web2")
    assert (run.state, run.reason) == (State.SKIPPED, Reason.DEPENDENCY_FAILED)
    assert first in run.statusmsg
    assert desk.job(third).state is State.SKIPPED
    assert desk.job(otherwise).state is State.WAITING
    assert [job for job, *_ in desk.hand_over()] == [otherwise]


@pytest.mark.spec("S0-09")
def test_a_job_may_wait_for_one_run_of_another(desk: Desk) -> None:
    first = desk.submit("web1", "web2")
    second = after(desk, first, "web1")
    desk.hand_over()

    desk.say(make_reply(first, "web1"))

    assert [job for job, *_ in desk.hand_over()] == [second]


@pytest.mark.parametrize(
    ("state", "expected"), [(State.SUCCEEDED, State.WAITING), (State.FAILED, State.SKIPPED)]
)
def test_what_has_ended_is_judged_at_once(desk: Desk, state: State, expected: State) -> None:
    first = desk.submit("web1")
    desk.say(make_reply(first, state=state))

    assert desk.job(after(desk, first)).state is expected


def test_a_job_waits_for_all_it_names(desk: Desk) -> None:
    jobs = [desk.submit("web1"), desk.submit("web1")]
    last = desk.submit("web2", after=tuple(After(job=job) for job in jobs))
    desk.hand_over()

    desk.say(make_reply(jobs[0]))
    assert desk.job(last).wait_reason is WaitReason.DEPENDENCY
    desk.say(make_reply(jobs[1]))

    assert desk.job(last).wait_reason is WaitReason.OUTBOX


def test_what_two_end_at_a_time_is_judged_once(desk: Desk) -> None:
    jobs = [desk.submit("web1"), desk.submit("web1")]
    last = desk.submit("web2", after=tuple(After(job=job) for job in jobs))
    desk.hand_over()

    desk.fail(jobs[0])
    desk.fail(jobs[1])

    assert desk.kinds(last).count("run.skipped") == 1


@ONE_DATABASE
def test_a_chain_of_a_thousand_ends_with_its_first(desk: Desk) -> None:
    first = last = desk.submit("web1")
    for _ in range(300):
        last = after(desk, last)

    desk.control.verbs.cancel(first, **WHO)

    assert desk.job(last).state is State.SKIPPED


def test_only_what_the_caller_may_see_can_be_waited_for(desk: Desk) -> None:
    add_org(desk.control.database, "other")
    theirs = keep_job(desk.control.database, "web9", org="other").id
    ours = desk.submit("web1")

    for job, node in ((new_id(), None), (theirs, None), (theirs, "web9"), (ours, "web9")):
        with pytest.raises(UnknownDependency, match=job):
            after(desk, job, node)
    with pytest.raises(InvalidDocument, match="twice"):
        desk.submit("web1", after=(After(job=ours), After(job=ours, when=StartIf.FAILED)))


def test_a_held_job_whose_dependency_failed_is_skipped(desk: Desk) -> None:
    first = desk.submit("web1")
    second = after(desk, first)
    desk.control.verbs.hold(second, **WHO)
    desk.hand_over()

    desk.fail(first)

    assert desk.job(second).state is State.SKIPPED


def test_a_held_job_stays_held_when_its_dependency_is_met(desk: Desk) -> None:
    first = desk.submit("web1")
    second = after(desk, first)
    desk.control.verbs.hold(second, **WHO)
    desk.hand_over()

    desk.say(make_reply(first))

    assert desk.job(second).state is State.PAUSED
    desk.control.verbs.release(second, **WHO)
    assert [job for job, *_ in desk.hand_over()] == [second]


def test_a_job_that_waits_for_a_time_too_is_scheduled_after_its_dependency(desk: Desk) -> None:
    first = desk.submit("web1")
    at = desk.clock() + timedelta(hours=5)
    second = desk.submit("web2", after=(After(job=first),), not_before=at)
    assert desk.job(second).state is State.WAITING
    desk.hand_over()

    desk.say(make_reply(first))

    assert desk.job(second).state is State.SCHEDULED


def test_who_waits_for_whom_can_be_read(desk: Desk) -> None:
    first = desk.submit("web1")
    second = after(desk, first)

    with desk.control.database.reading() as connection:
        (waits,) = list_dependencies(connection, second)
    assert (waits.job, waits.on_job, waits.on_node, waits.met) == (second, first, None, False)
    assert desk.job(second).org == ORG


def test_what_waits_for_two_goes_on_though_both_end_at_the_same_moment(
    desk: Desk, database: Database
) -> None:
    """Neither of two coordinators that collect sees the end that the other has not committed."""
    first, second = desk.submit("web1"), desk.submit("web1")
    third = desk.submit("web2", after=(After(job=first), After(job=second)))
    desk.hand_over()

    def collect(job: JobId) -> None:
        with database.transaction() as connection:
            apply_replies(connection, [make_reply(job)], NOW)

    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as connection:
            apply_replies(connection, [make_reply(first)], NOW)
            other = pool.submit(collect, second)
            wait([other], timeout=0.5)  # it ends, or waits for this transaction
        other.result()

    assert desk.job(third).wait_reason is WaitReason.OUTBOX
