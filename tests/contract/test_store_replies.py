"""Replies: counted once, whenever and however often they come."""

from datetime import timedelta

import pytest

from fleetjobs.jobs import Event, Job, Run
from fleetjobs.messages import Output, Reply, Stage
from fleetjobs.names import JobId, NodeId
from fleetjobs.states import Completion, Reason, State
from fleetjobs.store.database import Database
from fleetjobs.store.deadlines import end_overdue
from fleetjobs.store.events import list_events
from fleetjobs.store.handovers import mark_queued, runs_to_dispatch
from fleetjobs.store.jobs import get_job
from fleetjobs.store.logs import Stream, log_size, read_log
from fleetjobs.store.replies import apply_replies
from fleetjobs.store.runs import list_runs
from tests.makers import NOW, keep_job, make_reply, new_id

MINUTE = timedelta(minutes=1)


def hand_over(database: Database) -> None:
    """Note that the broker has all that was due."""
    with database.transaction() as connection:
        mark_queued(connection, runs_to_dispatch(connection, NOW, 1000), NOW, MINUTE)


def apply(database: Database, *replies: Reply) -> set[JobId]:
    """Apply them in one transaction."""
    with database.transaction() as connection:
        return apply_replies(connection, replies, NOW)


def look(database: Database, job: JobId) -> tuple[Job, list[Run], list[Event]]:
    """The job, its runs and its events."""
    with database.reading() as connection:
        found = get_job(connection, job, org=None)
        assert found is not None
        runs = list_runs(connection, job, limit=100).items
        return found, runs, list_events(connection, org=None, job=job, limit=1000)


def kinds(events: list[Event]) -> list[str]:
    """What happened, in order."""
    return [event.kind for event in events]


@pytest.mark.spec("S1-13")
def test_a_run_goes_from_hand_over_to_its_end(database: Database) -> None:
    job = keep_job(database, "web1").id

    hand_over(database)
    for stage in (Stage.ACCEPTED, Stage.STARTED, Stage.FINISHED):
        moved = apply(database, make_reply(job, stage=stage, data={"text": "a"}))
        assert moved == (set() if stage is Stage.ACCEPTED else {job})

    found, (run,), events = look(database, job)
    assert (run.state, run.data, run.statuscode) == (State.SUCCEEDED, {"text": "a"}, 0)
    assert run.started_at == NOW
    assert run.ended_at == NOW + timedelta(seconds=1)
    assert (found.state, found.completion) == (State.SUCCEEDED, Completion.FULL)
    assert (found.started_at, found.ended_at) == (NOW, NOW)
    assert kinds(events) == [
        "job.accepted",
        *("run.queued", "job.queued"),
        *("run.running", "job.running"),
        *("run.succeeded", "job.succeeded"),
    ]


def test_a_reply_that_comes_twice_counts_once(database: Database) -> None:
    """The broker may redeliver; the database must not notice."""
    job = keep_job(database, "web1").id
    apply(database, make_reply(job), make_reply(job))
    before = look(database, job)

    assert apply(database, make_reply(job)) == set()

    assert look(database, job) == before
    assert before[0].tally == {State.SUCCEEDED: 1}


def test_a_reply_may_overtake_the_note_of_the_hand_over(database: Database) -> None:
    job = keep_job(database, "web1").id

    apply(database, make_reply(job))
    hand_over(database)

    found, (run,), events = look(database, job)
    assert (found.state, run.state, run.queued_at) == (State.SUCCEEDED, State.SUCCEEDED, NOW)
    assert kinds(events) == [
        "job.accepted",
        *("run.queued", "run.running", "run.succeeded"),
        *("job.queued", "job.running", "job.succeeded"),
    ]


def test_stages_that_come_in_the_wrong_order_change_nothing_back(database: Database) -> None:
    job = keep_job(database, "web1", "web2").id
    apply(database, make_reply(job))

    apply(database, make_reply(job, stage=Stage.STARTED), make_reply(job, stage=Stage.ACCEPTED))

    _, runs, _ = look(database, job)
    assert [run.state for run in runs] == [State.SUCCEEDED, State.WAITING]


def test_what_the_node_refused_never_ran(database: Database) -> None:
    job = keep_job(database, "web1").id
    hand_over(database)

    denied = make_reply(job, state=State.FAILED, reason=Reason.DENIED, started_at=None)
    apply(database, denied)

    found, (run,), events = look(database, job)
    assert (run.state, run.reason) == (State.FAILED, Reason.DENIED)
    assert (found.state, found.reason) == (State.FAILED, Reason.DENIED)
    assert (found.started_at, found.completion) == (None, Completion.NONE)
    assert kinds(events)[-2:] == ["run.failed", "job.failed"]
    assert "run.running" not in kinds(events)


def test_a_job_fails_when_one_of_its_runs_did(database: Database) -> None:
    job = keep_job(database, "web1", "web2").id
    failed = make_reply(
        job, "web2", state=State.FAILED, reason=Reason.EXIT_CODE, exit_code=3, statuscode=1
    )

    apply(database, make_reply(job), failed)

    found, (_, run), _ = look(database, job)
    assert (run.state, run.reason, run.exit_code) == (State.FAILED, Reason.EXIT_CODE, 3)
    assert (found.state, found.reason) == (State.FAILED, Reason.RUNS_FAILED)
    assert found.completion is Completion.PARTIAL
    assert found.tally == {State.SUCCEEDED: 1, State.FAILED: 1}


def test_a_job_that_has_begun_goes_on_running_between_its_runs(database: Database) -> None:
    job = keep_job(database, "web1", "web2").id
    hand_over(database)

    apply(database, make_reply(job))

    found, _, events = look(database, job)
    assert (found.state, found.ended_at) == (State.RUNNING, None)
    assert kinds(events)[-1] == "job.running"


def test_an_end_that_comes_after_ours_is_kept_beside_it(database: Database) -> None:
    job = keep_job(database, "web1", start_before=NOW).id
    with database.transaction() as connection:
        end_overdue(connection, [(job, NodeId("web1"))], NOW, since=None)

    apply(database, make_reply(job), make_reply(job))
    apply(database, make_reply(job))

    found, (run,), events = look(database, job)
    assert (found.state, run.state) == (State.EXPIRED, State.EXPIRED)
    assert kinds(events)[-1] == "reply.late"
    assert kinds(events).count("reply.late") == 1
    assert events[-1].detail["state"] == "succeeded"


def test_a_reply_of_another_attempt_changes_nothing(database: Database) -> None:
    job = keep_job(database, "web1").id

    apply(database, make_reply(job, attempt=2))

    found, _, events = look(database, job)
    assert found.state is State.WAITING
    assert kinds(events)[-1] == "reply.late"


def test_a_reply_to_nothing_we_asked_is_on_record(database: Database) -> None:
    assert apply(database, make_reply(new_id())) == set()

    with database.reading() as connection:
        (event,) = list_events(connection, org=None, limit=10)
    assert (event.kind, event.reason, event.node) == ("reply.rejected", "not_found", "web1")


def test_logs_are_kept_and_read_in_parts(database: Database) -> None:
    job = keep_job(database, "web1").id
    content = bytes(range(256))

    apply(database, make_reply(job, stdout=Output(size=9999, content=content)))

    _, (run,), _ = look(database, job)
    assert (run.stdout_size, run.stderr_size) == (9999, 0)
    with database.reading() as connection:
        of = (connection, job, NodeId("web1"), 1)
        assert read_log(*of, Stream.STDOUT, limit=1000) == content
        assert read_log(*of, Stream.STDOUT, offset=250, limit=3) == content[250:253]
        assert read_log(*of, Stream.STDOUT, offset=300, limit=3) == b""
        assert read_log(*of, Stream.STDERR, limit=3) == b""
        assert (log_size(*of, Stream.STDOUT), log_size(*of, Stream.STDERR)) == (256, 0)


def test_what_a_database_cannot_hold_is_made_to_fit(database: Database) -> None:
    job = keep_job(database, "web1").id
    absurd = make_reply(
        job,
        statusmsg="a\0b",
        data={"nul": "\0"},
        exit_code=2**40,
        stdout=Output(size=2**70, content=b"\0"),
    )

    apply(database, absurd)

    _, (run,), _ = look(database, job)
    assert (run.state, run.statusmsg, run.exit_code) == (State.SUCCEEDED, "a\ufffdb", None)
    assert run.data == {"nul": "\0"}
    assert run.stdout_size == 2**63 - 1


@pytest.mark.parametrize("state", [None, State.RUNNING, State.SKIPPED])
def test_an_end_that_is_none_counts_as_failed(database: Database, state: State | None) -> None:
    """A run has to end, whatever its node believes an end to be."""
    job = keep_job(database, "web1").id

    apply(database, make_reply(job, state=state))

    assert look(database, job)[0].state is State.FAILED
