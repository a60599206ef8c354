"""Attempts: what fails is tried again where that is allowed, and what is lost is not forgotten."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from fleetjobs.control.jobs import Control
from fleetjobs.coordinator.reaper import Reaper
from fleetjobs.documents import encode
from fleetjobs.errors import Conflict
from fleetjobs.messages import Inventory, Output, Stage
from fleetjobs.names import JobId, NodeId
from fleetjobs.states import Reason, State, WaitReason
from fleetjobs.store.attempts import list_attempts
from fleetjobs.store.database import Database
from fleetjobs.store.nodes import save_beats
from fleetjobs.store.runs import list_attention
from tests.desk import KEY, MINUTE, WHO, Desk
from tests.makers import Clock, demo_interface, enroll, make_beat, make_reply, new_id

SECOND = timedelta(seconds=1)


@pytest.fixture
def desk(database: Database) -> Desk:
    """A desk with two nodes behind it, heard of just now."""
    enroll(database, "web1", "web2")
    clock = Clock()
    return Desk(Control(database, clock), clock)


def declare(desk: Desk, **traits: Any) -> None:
    """Let demo.echo be so on web1."""
    interface = demo_interface("1.1.0")
    interface["fleetjobs"]["actions"]["echo"] |= traits
    beat = make_beat("web1", inventory=Inventory(facts={}, interfaces={"demo": interface}))
    with desk.control.database.transaction() as connection:
        save_beats(connection, [beat], desk.clock())


def gaps(desk: Desk, job: JobId, fails: int, **failure: Any) -> list[float]:
    """Seconds each of the next attempts waits after the one before failed."""
    found = []
    for attempt in range(1, fails + 1):
        desk.hand_over()
        desk.start(job, attempt=attempt)
        desk.fail(job, attempt=attempt, **failure)
        at = desk.run(job).next_attempt_at
        if at is None:
            break
        found.append((at - desk.clock()) / SECOND)
        desk.later(at - desk.clock())
    return found


@pytest.mark.spec("S1-16")
def test_failed_attempts_are_repeated_with_growing_pauses(desk: Desk) -> None:
    job = desk.submit("web1", retries=4)

    assert gaps(desk, job, 4) == [0, 30, 60, 90]
    desk.hand_over()
    desk.say(make_reply(job, attempt=5))

    assert desk.job(job).state is State.SUCCEEDED
    (recovered,) = [event for event in desk.events(job) if event.kind == "run.recovered"]
    assert recovered.detail == {"failed": 4}


@pytest.mark.spec("S1-16")
def test_a_run_whose_attempts_are_used_up_has_failed(desk: Desk) -> None:
    job = desk.submit("web1", retries=1)

    gaps(desk, job, 2)

    run = desk.run(job)
    assert (run.state, run.reason, run.attempt) == (State.FAILED, Reason.ATTEMPTS_EXHAUSTED, 2)
    assert desk.job(job).reason is Reason.ATTEMPTS_EXHAUSTED


@pytest.mark.spec("S1-16", "I3")
@pytest.mark.parametrize(("reason", "attempt"), [(Reason.INTERRUPTED, 2), (Reason.INVALID, 1)])
def test_what_was_cut_short_before_it_began_is_tried_again(
    desk: Desk, reason: Reason, attempt: int
) -> None:
    """Its runner was killed: that is no refusal, which would be one the next time, too."""
    job = desk.submit("web1", retries=1)
    desk.hand_over()

    desk.fail(job, started_at=None, reason=reason)

    assert desk.run(job).attempt == attempt


@pytest.mark.spec("T6")
def test_between_two_attempts_a_run_waits_and_holds_nothing(desk: Desk) -> None:
    job = desk.submit("web1", retries=1)
    desk.hand_over()
    desk.fail(job, stderr=Output(size=3, content=b"bad"))

    run, found = desk.run(job), desk.job(job)

    assert (run.state, run.wait_reason, run.attempt) == (State.WAITING, WaitReason.RETRY, 2)
    assert (found.state, found.wait_reason) == (State.WAITING, WaitReason.RETRY)
    with desk.control.database.reading() as connection:
        (kept,) = list_attempts(connection, job, NodeId("web1"))
    assert (kept.attempt, kept.state, kept.statuscode, kept.stderr_size) == (1, State.FAILED, 1, 3)


def test_an_attempt_that_comes_twice_is_kept_once(desk: Desk) -> None:
    job = desk.submit("web1", retries=3)
    desk.hand_over()

    desk.fail(job)
    desk.fail(job)

    assert (desk.run(job).attempt, desk.run(job).tries) == (2, 2)
    assert "reply.late" not in desk.kinds(job)


@pytest.mark.spec("S4-27")
@pytest.mark.parametrize(
    "failure",
    [{"statuscode": 4}, {"reason": Reason.USER_ERROR}, {"reason": Reason.DENIED}],
)
def test_a_mistake_of_the_callers_is_not_repeated(desk: Desk, failure: dict[str, Any]) -> None:
    job = desk.submit("web1", retries=3)

    assert gaps(desk, job, 1, **failure) == []

    assert desk.job(job).state is State.FAILED
    assert desk.run(job).reason is failure.get("reason")


def test_by_itself_only_what_is_idempotent_is_repeated(desk: Desk) -> None:
    declare(desk, max_attempts=3)
    once = desk.submit("web1")
    declare(desk, max_attempts=3, idempotent=True, retry_delay_s=5)
    thrice = desk.submit("web1")

    assert gaps(desk, once, 1) == []
    assert gaps(desk, thrice, 3) == [0, 5]


@pytest.mark.spec("S1-17")
def test_an_action_may_ask_to_be_tried_later(desk: Desk) -> None:
    job = desk.submit("web1")
    desk.hand_over()

    for attempt in (1, 2, 3):
        desk.say(make_reply(job, attempt=attempt, state=State.FAILED, delay_s=30.0))
        run = desk.run(job)
        assert (run.state, run.wait_reason, run.tries) == (State.WAITING, WaitReason.RETRY, 1)
        assert run.next_attempt_at == desk.clock() + 30 * SECOND
        assert desk.hand_over() == []
        desk.later(30 * SECOND)
        assert [number for _, _, number, _ in desk.hand_over()] == [attempt + 1]
    desk.say(make_reply(job, attempt=4))

    assert desk.job(job).state is State.SUCCEEDED


def test_what_was_cancelled_is_not_tried_again(desk: Desk) -> None:
    job = desk.submit("web1", retries=3)
    desk.hand_over()
    desk.start(job)
    desk.control.verbs.cancel(job, **WHO)

    desk.fail(job)

    assert desk.job(job).state is State.FAILED


def reaper(desk: Desk) -> Reaper:
    """A reaper whose collector has heard nodes for ever."""
    since = desk.clock() - timedelta(days=1)
    hears: Callable[[], datetime | None] = lambda: since  # noqa: E731  typed for all mypy knows
    return Reaper(desk.control.database, desk.clock, hears)


def lost(desk: Desk, *nodes: str, **changes: Any) -> JobId:
    """A job that was at work on nodes that fell silent."""
    job = desk.submit(*(nodes or ("web1",)), **changes)
    desk.hand_over()
    for node in nodes or ("web1",):
        desk.start(job, node)
    desk.later(2 * MINUTE)
    reaper(desk).step()
    return job


def test_a_run_on_a_silent_node_is_set_aside_for_a_person(desk: Desk) -> None:
    job = lost(desk)

    run, found = desk.run(job), desk.job(job)

    assert (run.state, run.reason, run.attention) == (State.PAUSED, Reason.LOST, True)
    assert (found.state, found.reason, found.attention) == (State.PAUSED, Reason.LOST, True)
    assert "run.lost" in desk.kinds(job)
    with desk.control.database.reading() as connection:
        assert list_attention(connection, org="acme", limit=10).items == [run]


def test_silence_counts_only_while_somebody_listens(desk: Desk) -> None:
    job = desk.submit("web1")
    desk.hand_over()
    desk.start(job)
    desk.later(10 * MINUTE)
    heard = desk.clock() - 10 * SECOND

    Reaper(desk.control.database, desk.clock, lambda: heard).step()
    Reaper(desk.control.database, desk.clock, lambda: None).step()

    assert desk.job(job).state is State.RUNNING


@pytest.mark.spec("S1-15", "T4")
def test_how_long_a_node_may_be_silent_is_said_by_its_action(desk: Desk) -> None:
    """And silence is all that counts: what takes long on a node that is heard of is not lost."""
    declare(desk, lost_after_s=30)
    hasty = desk.submit("web1")
    declare(desk, lost_after_s=300)
    patient = desk.submit("web1")
    desk.hand_over()
    for job in (hasty, patient):
        desk.start(job)

    for _ in range(50):
        desk.later(20 * SECOND)
        desk.beat("web1")
        reaper(desk).step()
    assert {desk.job(job).state for job in (hasty, patient)} == {State.RUNNING}
    desk.later(40 * SECOND)
    reaper(desk).step()

    assert (desk.run(hasty).reason, desk.run(patient).state) == (Reason.LOST, State.RUNNING)


def test_a_node_that_returns_is_asked_and_its_run_goes_on(desk: Desk) -> None:
    job = lost(desk)
    reaper(desk).step()
    assert desk.hand_over() == []  # it is still silent

    desk.later(SECOND)
    desk.beat("web1")
    reaper(desk).step()
    assert desk.hand_over() == [(job, "web1", 1, 0)]
    desk.start(job)

    assert (desk.job(job).state, desk.job(job).attention) == (State.RUNNING, False)
    desk.say(make_reply(job))
    assert desk.job(job).state is State.SUCCEEDED


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED])
def test_late_truth_resolves_a_lost_run(desk: Desk, state: State) -> None:
    job = lost(desk)

    desk.say(make_reply(job, state=state))

    assert (desk.job(job).state, desk.job(job).attention) == (state, False)


def test_a_lost_run_is_tried_again_where_that_is_allowed(desk: Desk) -> None:
    declare(desk, idempotent=True, on_lost="retry", max_attempts=3)
    job = lost(desk)

    run = desk.run(job)
    assert (run.state, run.wait_reason, run.attempt) == (State.WAITING, WaitReason.RETRY, 2)
    desk.hand_over()
    desk.say(make_reply(job, attempt=1))
    desk.say(make_reply(job, attempt=1))
    assert desk.kinds(job).count("reply.late") == 1
    desk.say(make_reply(job, attempt=2))

    assert desk.job(job).state is State.SUCCEEDED
    with desk.control.database.reading() as connection:
        first, second = list_attempts(connection, job, NodeId("web1"))
    assert (first.reason, first.late, second.state) == (Reason.LOST, True, State.SUCCEEDED)


@pytest.mark.parametrize("outcome", [State.SUCCEEDED, State.FAILED])
def test_a_person_may_say_how_a_lost_run_ended(desk: Desk, outcome: State) -> None:
    job = lost(desk)

    found = desk.control.verbs.resolve(job, outcome=outcome, **WHO)

    assert (found.state, found.attention) == (outcome, False)
    assert desk.control.verbs.resolve(job, outcome=outcome, **WHO) == found
    assert len(desk.orders()) == 1
    with pytest.raises(Conflict):
        desk.control.verbs.resolve(job, outcome=State.CANCELLED, **WHO)


def test_a_person_may_have_a_lost_run_tried_again(desk: Desk) -> None:
    job = lost(desk)

    assert desk.control.verbs.retry(job, **WHO).state is State.WAITING
    desk.control.verbs.retry(job, **WHO)

    assert desk.hand_over() == [(job, "web1", 2, 0)]


def test_a_person_need_not_wait_for_the_next_attempt(desk: Desk) -> None:
    job = desk.submit("web1", retries=5)
    gaps(desk, job, 2)
    desk.hand_over()
    desk.fail(job, attempt=3)
    assert desk.hand_over() == []

    desk.control.verbs.retry(job, **WHO)

    assert desk.hand_over() == [(job, "web1", 4, 0)]


def test_what_is_cancelled_on_a_silent_node_asks_for_attention(desk: Desk) -> None:
    job = desk.submit("web1")
    desk.hand_over()
    desk.start(job)
    desk.control.verbs.cancel(job, **WHO)
    desk.later(2 * MINUTE)

    reaper(desk).step()
    reaper(desk).step()

    assert (desk.job(job).state, desk.job(job).attention) == (State.CANCELLING, True)
    assert desk.kinds(job).count("run.lost") == 1
    desk.control.verbs.cancel(job, force=True, **WHO)
    assert (desk.job(job).state, desk.job(job).attention) == (State.CANCELLED, False)


@pytest.mark.spec("S1-23")
def test_a_job_is_run_again_as_a_new_job(desk: Desk) -> None:
    failed = desk.submit("web1", "web2")
    desk.hand_over()
    desk.say(make_reply(failed, "web1"))
    desk.fail(failed, "web2")
    before = desk.job(failed)
    how: dict[str, Any] = {"seal": lambda request: KEY.seal(encode(request)), **WHO}

    again = desk.control.rerun(failed, id=new_id(), **how).job
    rest = desk.control.rerun(failed, id=new_id(), failed=True, **how).job

    assert (again.rerun_of, again.caller, again.tally.total()) == (failed, "bob", 2)
    assert [run.node for run in desk.runs(rest.id)] == ["web2"]
    assert desk.job(failed) == before
    with pytest.raises(Conflict, match="ended"):
        desk.control.verbs.retry(failed, **WHO)


@pytest.mark.spec("T2")
@pytest.mark.spec("S1-23")
def test_a_lost_job_is_run_again_as_a_new_job(desk: Desk) -> None:
    job = lost(desk)
    before = desk.job(job)

    again = desk.control.rerun(
        job, id=new_id(), seal=lambda request: KEY.seal(encode(request)), failed=True, **WHO
    )

    assert again.job.rerun_of == job
    assert desk.job(job) == before


def test_a_slot_that_is_waited_for_is_named(desk: Desk) -> None:
    job, other = desk.submit("web1"), new_id()
    desk.hand_over()

    desk.say(make_reply(job, stage=Stage.ACCEPTED, blocked_by=other))
    assert desk.run(job).blocked_by == other

    desk.start(job)
    assert desk.run(job).blocked_by is None
