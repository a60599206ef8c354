"""When runs start, how many at once, and what becomes of those that may not."""

import os
import time
from datetime import timedelta

import pytest

from fleetjobs.documents import decode
from fleetjobs.messages import Reply, Stage
from fleetjobs.signing import peek
from fleetjobs.spool.attempts import RunDirectory, RunKey
from fleetjobs.states import Reason, State
from tests.workbench import Desk, make_key, now, seal_run, write_agent

OK = 'echo \'{"data": {"ok": 1}}\' > "$FLEETJOBS_REPLY"'


def shell_that_waits(desk: Desk) -> None:
    desk.shell(f"until [ -e {desk.root}/go ]; do sleep 0.02; done; {OK}")


def test_no_more_runs_than_slots_are_at_work(desk: Desk) -> None:
    shell_that_waits(desk)
    runs = [desk.accept() for _ in range(10)]

    desk.drive(lambda: sum(run.started_at() is not None for run in runs) == desk.slots)
    assert (desk.launcher.running, desk.launcher.waiting) == (4, 6)
    (desk.root / "go").touch()
    desk.drive(lambda: all(run.is_settled for run in runs))
    desk.drive(lambda: desk.launcher.running == 0)

    assert {desk.read(run).state for run in runs} == {State.SUCCEEDED}
    assert len(desk.finished) == 10


@pytest.mark.spec("S1-05")
def test_the_run_that_is_due_first_starts_first(desk: Desk) -> None:
    desk.close()
    desk.slots = 1
    desk.open()
    desk.shell(OK)

    later = desk.accept(not_before=now() + timedelta(seconds=0.4))
    sooner = desk.accept(not_before=now() + timedelta(seconds=0.2))
    at_once = desk.accept()
    runs = [at_once, sooner, later]
    desk.drive(lambda: all(run.is_settled for run in runs))

    started = [desk.read(run).started_at for run in runs]
    assert started == sorted(started, key=lambda at: at or now())
    assert [reply.job for reply in desk.finished[:2]] == [at_once.key.job, sooner.key.job]


def test_a_run_does_not_start_before_its_time(desk: Desk) -> None:
    desk.shell(OK)
    due = now() + timedelta(seconds=0.5)

    reply = desk.do(not_before=due)

    assert reply.started_at is not None
    assert due <= reply.started_at < due + timedelta(seconds=30)


def test_waiting_ends_when_a_run_becomes_due(desk: Desk) -> None:
    desk.shell(OK)
    desk.accept(not_before=now() + timedelta(seconds=0.3))
    desk.launcher.step()
    before = time.monotonic()

    while time.monotonic() - before < 0.3:
        desk.launcher.wait(60)

    assert time.monotonic() - before < 30
    desk.drive(lambda: len(desk.finished) == 1)


@pytest.mark.spec("T1")
@pytest.mark.spec("S1-21")
def test_a_run_past_its_last_moment_expires_and_never_begins(desk: Desk) -> None:
    desk.shell(f"echo start >> {desk.marks}; {OK}")

    run = desk.accept(start_before=now() - timedelta(seconds=1))
    reply = desk.reply(run)

    assert (reply.state, reply.reason) == (State.EXPIRED, Reason.START_BEFORE)
    assert (reply.started_at, reply.statuscode) == (None, 1)
    assert not desk.marks.exists()
    assert [entry.stage for entry in desk.spool.outbox()] == [Stage.FINISHED]
    assert desk.finished == [reply]


def test_a_run_that_waits_for_a_slot_expires_while_it_waits(desk: Desk) -> None:
    desk.close()
    desk.slots = 1
    desk.open()
    shell_that_waits(desk)
    busy = desk.accept()
    desk.drive(busy.started_at)

    run = desk.accept(start_before=now() + timedelta(seconds=0.3))
    reply = desk.reply(run)

    assert reply.state is State.EXPIRED
    assert not busy.is_settled
    (desk.root / "go").touch()
    assert desk.reply(busy).state is State.SUCCEEDED


def test_a_settled_run_is_left_alone_after_a_restart(desk: Desk) -> None:
    desk.shell(f"echo start >> {desk.marks}; {OK}")
    desk.do()

    desk.close()
    desk.open()
    desk.drive(lambda: desk.launcher.running == desk.launcher.waiting == 0)
    desk.launcher.wait(0.1)
    desk.launcher.step()

    assert desk.marks.read_text() == "start\n"


def test_another_thread_may_wake_it(desk: Desk) -> None:
    desk.launcher.step()
    for _ in range(100_000):
        desk.launcher.wake()
    before = time.monotonic()

    desk.launcher.wait(30)

    assert time.monotonic() - before < 29


def add_many(desk: Desk, count: int, monkeypatch: pytest.MonkeyPatch) -> list[RunDirectory]:
    """Runs with one and the same sealed text, and not fsynced: both would take their time."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    delivery, request = seal_run(make_key(), not_before=now() + timedelta(hours=1))
    return [
        desk.spool.add(make_key(), delivery=delivery, request=request, accepted_at=now())
        for _ in range(count)
    ]


@pytest.mark.slow
def test_10_000_waiting_runs_cost_a_step_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_many(desk, 10_000, monkeypatch)
    desk.launcher.step()
    assert desk.launcher.waiting == 10_000

    before = time.process_time()
    for _ in range(100):
        desk.launcher.step()

    assert time.process_time() - before < 0.1


@pytest.mark.slow
def test_10_000_finished_runs_are_looked_through_in_3_seconds(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run in add_many(desk, 10_000, monkeypatch):
        (run.path / "final").write_text("x")
    desk.close()

    before = time.process_time()
    desk.open()
    desk.launcher.step()

    assert time.process_time() - before < 3
    assert desk.launcher.running == desk.launcher.waiting == 0


def test_the_spool_is_asked_for_all_its_runs_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    unsettled = desk.spool.unsettled
    monkeypatch.setattr(desk.spool, "unsettled", lambda: asked.append(1) or unsettled())
    desk.shell(OK)

    for _ in range(3):
        desk.do()

    assert asked == [1]


def test_two_attempts_of_a_job_are_two_runs(desk: Desk) -> None:
    desk.shell(f"echo start >> {desk.marks}; {OK}")
    first = make_key()

    one = desk.accept(first)
    two = desk.accept(RunKey(first.job, 2))
    desk.reply(one)
    desk.reply(two)

    assert desk.marks.read_text() == "start\nstart\n"


@pytest.mark.spec("T6")
def test_of_an_action_no_more_are_at_work_than_it_declares(desk: Desk) -> None:
    """Others go past those that wait."""
    shell_that_waits(desk)
    write_agent(desk.agents, "other", program=f"#!/bin/sh\n{OK}\n")
    desk.limits["shell.do"] = 1

    runs = [desk.accept() for _ in range(3)]
    other = desk.accept(agent="other")

    assert desk.reply(other).state is State.SUCCEEDED
    assert [run.started_at() is not None for run in runs] == [True, False, False]
    (desk.root / "go").touch()
    assert {desk.reply(run).state for run in runs} == {State.SUCCEEDED}


@pytest.mark.spec("T15")
def test_a_limit_holds_across_a_restart_of_the_worker(desk: Desk) -> None:
    """What is found at work has the slot that it had, and lets go of it when it ends."""
    shell_that_waits(desk)
    desk.limits["shell.do"] = 1
    first = desk.accept()
    desk.drive(first.started_at)

    desk.close()
    desk.open()
    second = desk.accept()
    desk.drive(lambda: (desk.launcher.running, desk.launcher.waiting) == (1, 1))
    assert not second.started_at()
    (desk.root / "go").touch()

    assert {desk.reply(run).state for run in (first, second)} == {State.SUCCEEDED}


def test_a_run_that_waits_for_a_slot_says_who_has_it(desk: Desk) -> None:
    shell_that_waits(desk)
    desk.limits["shell.do"] = 1
    first = desk.accept()
    desk.drive(first.started_at)

    second = desk.accept()
    desk.drive(lambda: desk.sent)

    (told,) = [decode(Reply, peek(sealed)) for sealed in desk.sent]
    assert (told.job, told.stage, told.blocked_by) == (
        second.key.job,
        Stage.ACCEPTED,
        first.key.job,
    )


def test_a_run_that_waits_for_its_time_blames_nobody(desk: Desk) -> None:
    shell_that_waits(desk)
    desk.limits["shell.do"] = 1
    desk.drive(desk.accept().started_at)

    desk.accept(not_before=now() + timedelta(hours=1))
    third = desk.accept()
    desk.drive(lambda: desk.sent)

    assert [decode(Reply, peek(sealed)).job for sealed in desk.sent] == [third.key.job]


@pytest.mark.spec("S1-17")
def test_an_action_that_asks_for_a_delay_ends_its_attempt_with_it(desk: Desk) -> None:
    desk.shell('echo \'{"statuscode": 1, "delay_s": 30}\' > "$FLEETJOBS_REPLY"')

    reply = desk.do()

    assert (reply.state, reply.delay_s) == (State.FAILED, 30)
    desk.drive(lambda: desk.launcher.waiting == desk.launcher.running == 0)
