"""Orders and questions: what was believed is on the disk before it is acknowledged."""

import os
from datetime import timedelta
from errno import ENOSPC
from typing import Any

import pytest

from fleetjobs.messages import Asked, Stage, Verb
from fleetjobs.names import JobId
from fleetjobs.spool.attempts import Holder, RunKey
from fleetjobs.states import Reason, State
from tests.reception import JOB, KEY, NOW, QUESTION, Bench


@pytest.mark.spec("S0-05")
@pytest.mark.parametrize("verb", list(Verb))
def test_an_order_that_comes_before_its_delivery_keeps_it_from_starting(
    bench: Bench, verb: Verb
) -> None:
    """A tombstone; the delivery is told what the order was told."""
    bench.receive(bench.order(verb))
    bench.receive(bench.letter())
    bench.receive(bench.letter("look"))

    told, again, inline = bench.documents()
    assert told == again == inline
    assert told.generation == 1
    assert told.stage is (Stage.FINISHED if verb is Verb.STOP else Stage.WITHDRAWN)
    assert bench.spool.runs() == []
    assert not bench.marks.exists()
    assert bench.acknowledged == 3


@pytest.mark.spec("I9", "F16")
def test_a_query_that_was_called_off_while_the_node_was_away_never_begins(bench: Bench) -> None:
    """Its order lies behind it in the queue; others begin when all of that was read."""
    other = JobId("019ab000-0000-7000-8000-000000000003")
    bench.receiver.backlog.found(3)
    bench.receive(bench.letter("look"))
    bench.receive(bench.letter("look", job=other))
    bench.receiver.backlog.read()
    bench.receive(bench.order(Verb.STOP))
    assert not bench.marks.exists()
    bench.receiver.backlog.read()
    bench.receiver.backlog.read()

    bench.receiver.act_on_held()
    bench.receive(bench.letter("look", job=other))

    ordered, called_off, acted, again = bench.documents()
    assert {ordered.state, called_off.state} == {State.CANCELLED}
    assert (acted.job, acted.state) == (again.job, again.state) == (other, State.SUCCEEDED)
    assert bench.marks.read_text() == "abc\n"
    assert bench.acknowledged == 4


def test_a_held_query_that_finds_no_room_holds_up_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not begun, and is asked for again."""
    other = JobId("019ab000-0000-7000-8000-000000000003")
    bench.receiver.backlog.found(1)
    bench.receive(bench.letter("look"))
    bench.receive(bench.letter("look", job=other))
    bench.receiver.backlog.read()
    write = os.write

    def refuse(descriptor: int, content: bytes) -> int:
        if KEY.job in bytes(content).decode("ascii", "replace"):
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        return write(descriptor, content)

    monkeypatch.setattr("fleetjobs.spool.seen.os.write", refuse)
    bench.receiver.act_on_held()
    monkeypatch.undo()
    bench.receive(bench.letter("look"))

    assert [reply.job for reply in bench.documents()] == [other, KEY.job]
    assert [reply.state for reply in bench.documents()] == [State.SUCCEEDED] * 2


@pytest.mark.spec("I9")
def test_an_order_is_on_disk_before_it_is_acknowledged(bench: Bench) -> None:
    bench.receive(bench.letter())
    on_disk: list[bool] = []

    bench.receiver.receive(
        bench.order(Verb.STOP),
        lambda: on_disk.append(bench.spool.find(KEY).is_settled),  # type: ignore[union-attr]
    )

    assert on_disk == [True]
    assert bench.only().state is State.CANCELLED
    assert bench.reconsidered == [KEY]


def test_an_order_that_comes_twice_changes_nothing_and_is_answered_again(bench: Bench) -> None:
    bench.receive(bench.letter())

    bench.receive(bench.order(Verb.STOP))
    bench.receive(bench.order(Verb.STOP))

    first, again = bench.documents()
    assert first == again
    assert len(bench.spool.outbox()) == 1


def test_a_higher_generation_takes_the_place_of_what_was_withdrawn(bench: Bench) -> None:
    bench.receive(bench.letter(data={"word": "old"}))
    bench.receive(bench.order(Verb.WITHDRAW))
    bench.receive(bench.letter(data={"word": "new"}, generation=2))
    bench.receive(bench.order(Verb.WITHDRAW))
    bench.receive(bench.letter(data={"word": "old"}))

    run = bench.spool.find(KEY)
    assert run is not None
    assert run.accepted.generation == 2
    assert run.holder() is None
    told = [(reply.stage, reply.generation) for reply in bench.documents()]
    assert told == [(Stage.WITHDRAWN, 1), (Stage.ACCEPTED, 2), (Stage.ACCEPTED, 2)]


def test_a_stop_is_never_taken_back(bench: Bench) -> None:
    bench.receive(bench.order(Verb.STOP))
    bench.receive(bench.order(Verb.WITHDRAW, 2))
    bench.receive(bench.letter(generation=3))

    assert [reply.state for reply in bench.documents()] == [State.CANCELLED] * 3
    assert bench.spool.runs() == []


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"deliverer": "account:ada"}, "unauthentic"),
        ({"deliverer": "node:web1"}, "unauthentic"),
        ({"node": "web2"}, "misaddressed"),
        ({"issued_at": NOW + timedelta(hours=1)}, "stale"),
    ],
)
@pytest.mark.spec("I5")
def test_an_order_that_cannot_be_believed_is_refused(
    bench: Bench, wrong: dict[str, Any], code: str
) -> None:
    bench.receive(bench.letter())

    bench.receive(bench.order(Verb.STOP, **wrong))

    assert bench.only().code == code
    assert bench.spool.find(KEY).holder() is None  # type: ignore[union-attr]
    assert bench.spool.fences.find(KEY) is None


def test_the_next_attempt_ends_the_last_one_first(bench: Bench) -> None:
    bench.receive(bench.letter())
    bench.receive(bench.letter(attempt=2))

    first, second = bench.spool.attempts(JOB)
    assert first.is_settled
    assert not second.is_settled
    assert bench.reconsidered == [KEY]


@pytest.mark.spec("I3")
def test_an_attempt_lower_than_the_highest_is_refused(bench: Bench) -> None:
    """With its kept answer if it has one."""
    bench.receive(bench.letter(attempt=2))
    kept = bench.receiver.signer.seal(b"kept")
    bench.spool.put_reply(RunKey(JOB, 2), Stage.FINISHED, kept)
    bench.receive(bench.letter(attempt=3))

    bench.receive(bench.letter(attempt=2))
    bench.receive(bench.letter(attempt=1))

    assert bench.sent.pop(0) == kept
    assert bench.only().state is State.CANCELLED
    assert [run.key.attempt for run in bench.spool.attempts(JOB)] == [2, 3]


@pytest.mark.spec("I3")
def test_what_was_removed_from_the_disk_is_not_begun_again(bench: Bench) -> None:
    bench.receiver.gone.add(KEY)

    bench.receive(bench.letter())

    assert bench.only().reason is Reason.INTERRUPTED
    assert bench.spool.runs() == []


def test_a_task_is_revoked_by_the_name_that_celery_knows(bench: Bench) -> None:
    bench.receive(bench.letter())

    said = bench.receiver.revoke(f"{JOB}.web1.1", terminate=False)

    assert said.endswith("is ended")
    assert bench.spool.find(KEY).is_settled  # type: ignore[union-attr]
    for task in (f"{JOB}.web2.1", f"{JOB}.web1.1", f"{JOB}.web1.7", "rubbish", ""):
        assert "not known" in bench.receiver.revoke(task, terminate=True)


def test_revoke_without_terminate_leaves_what_has_begun(bench: Bench) -> None:
    bench.receive(bench.letter())
    run = bench.spool.find(KEY)
    assert run is not None
    run.claim(Holder(1, 1, "boot"))

    assert "has begun" in bench.receiver.revoke(f"{JOB}.web1.1", terminate=False)
    assert bench.spool.fences.find(KEY) is None


def test_runs_are_told_from_the_disk(bench: Bench) -> None:
    bench.receive(bench.letter())

    bench.receive(bench.question(Asked.RUNS, job=JOB))

    answer = bench.only()
    assert answer.question == QUESTION
    (report,) = answer.runs
    assert (report.task, report.stage, report.attempt) == ("probe.work", Stage.ACCEPTED, 1)


def test_a_log_is_read_while_it_is_written(bench: Bench) -> None:
    bench.receive(bench.letter())
    run = bench.spool.find(KEY)
    assert run is not None
    (run.path / "stdout").write_bytes(b"0123456789")

    bench.receive(bench.question(Asked.LOG, job=JOB, offset=4, limit=3))
    bench.spool.put_reply(KEY, Stage.FINISHED, "done")
    bench.receive(bench.question(Asked.LOG, job=JOB, stream="stderr", attempt=1))
    bench.receive(bench.question(Asked.LOG, job=JOB, attempt=9))

    live, over, unknown = bench.documents()
    assert (live.log.content, live.log.size, live.log.is_over) == (b"456", 10, False)
    assert (over.log.content, over.log.size, over.log.is_over) == (b"", 0, True)
    assert unknown.log is None
    assert "no attempt 9" in unknown.error


@pytest.mark.timeout(10)
def test_a_log_in_whose_place_a_program_has_put_a_pipe_keeps_nobody_waiting(bench: Bench) -> None:
    bench.receive(bench.letter())
    run = bench.spool.find(KEY)
    assert run is not None
    os.mkfifo(run.path / "stdout")

    bench.receive(bench.question(Asked.LOG, job=JOB))

    assert bench.only().log is None
    assert "no file" in bench.only().error


def test_a_question_that_nobody_waits_for_any_more_is_dropped(bench: Bench) -> None:
    bench.receive(bench.question(Asked.RUNS, expires_at=NOW - timedelta(seconds=1)))

    assert bench.sent == []
    assert bench.acknowledged == 1
