"""Processes killed at every point: an attempt begins at most once, and always has an end."""

import os
import signal
from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from fleetjobs.crashpoints import CrashPoint
from fleetjobs.node.process import birth, holder, is_alive
from fleetjobs.spool.attempts import Holder, RunDirectory
from fleetjobs.states import Reason, State
from tests.workbench import Desk, now, wait_for

OK = 'echo \'{"data": {"ok": 1}}\' > "$FLEETJOBS_REPLY"'


def shell_that_waits(desk: Desk) -> None:
    """A program that marks its start, waits to be released, and marks its end."""
    desk.shell(
        f'echo start $$ >> {desk.marks}; echo ready; until [ -e "{desk.root}/go" ];'
        f" do sleep 0.02; done; echo out; echo end >> {desk.marks}; {OK}"
    )


def release(desk: Desk) -> None:
    (desk.root / "go").touch()


def marks(desk: Desk) -> list[str]:
    """What the programs themselves say was done."""
    try:
        return [line.split()[0] for line in desk.marks.read_text().splitlines()]
    except FileNotFoundError:
        return []


def started(desk: Desk) -> RunDirectory:
    """A run whose program is at work."""
    shell_that_waits(desk)
    run = desk.accept()
    desk.drive(lambda: marks(desk) == ["start"])
    return run


def kill_runner(run: RunDirectory) -> None:
    holder = run.holder()
    assert holder is not None
    os.kill(holder.pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(holder))


def kill_program(run: RunDirectory) -> None:
    program = run.program()
    assert program is not None
    os.kill(program.holder.pid, signal.SIGKILL)


def kill_host(desk: Desk) -> None:
    process = desk.host._process
    assert process is not None
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    ("point", "begun", "state", "reason"),
    [
        ("after_fork", True, State.SUCCEEDED, None),
        ("after_claim", False, State.FAILED, Reason.INTERRUPTED),
        ("after_announce", False, State.FAILED, Reason.INTERRUPTED),
        ("mid_run", True, State.SUCCEEDED, None),
        ("before_outbox", True, State.SUCCEEDED, None),
        ("after_outbox", True, State.SUCCEEDED, None),
    ],
)
def test_a_runner_killed_anywhere_begins_its_action_at_most_once(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    point: CrashPoint,
    begun: bool,  # noqa: FBT001  a column of the table
    state: State,
    reason: Reason | None,
) -> None:
    monkeypatch.setenv("FLEETJOBS_CRASH_POINT", point)
    monkeypatch.setenv("FLEETJOBS_CRASH_ONCE", str(desk.root / "once"))
    shell_that_waits(desk)
    release(desk)

    run = desk.accept()
    desk.drive(lambda: bool(desk.finished))

    assert (desk.root / "once").exists()
    reply = desk.read(run)
    assert (reply.state, reply.reason) == (state, reason)
    assert marks(desk) == (["start", "end"] if begun else [])
    assert len(desk.spool.outbox()) == 1


def test_the_program_of_a_killed_runner_is_waited_for_and_its_reply_counts(desk: Desk) -> None:
    run = started(desk)

    kill_runner(run)
    desk.drive(lambda: (holder := run.holder()) is not None and is_alive(holder))
    assert not run.is_settled
    release(desk)
    reply = desk.reply(run)

    assert reply.state is State.SUCCEEDED
    assert reply.exit_code is None
    assert reply.stdout is not None
    assert reply.stdout.content == b"ready\nout\n"
    assert marks(desk) == ["start", "end"]


def test_a_program_may_write_while_nobody_reads(desk: Desk) -> None:
    """The runner is dead, the worker is not back yet: an ordinary pipe would kill the program."""
    run = started(desk)

    desk.close()
    kill_runner(run)
    release(desk)
    wait_for(lambda: marks(desk) == ["start", "end"])
    desk.open()

    assert desk.reply(run).state is State.SUCCEEDED


def test_runner_and_program_killed_is_interrupted_and_never_begun_again(desk: Desk) -> None:
    run = started(desk)

    kill_runner(run)
    kill_program(run)
    reply = desk.reply(run)

    assert (reply.state, reply.reason) == (State.FAILED, Reason.INTERRUPTED)
    assert reply.started_at is not None
    assert marks(desk) == ["start"]


def test_a_killed_program_fails_by_its_signal(desk: Desk) -> None:
    run = started(desk)

    kill_program(run)
    reply = desk.reply(run)

    assert (reply.reason, reply.exit_code) == (Reason.EXIT_CODE, -9)


def test_a_run_outlives_its_host(desk: Desk) -> None:
    run = started(desk)

    kill_host(desk)
    release(desk)
    reply = desk.reply(run)

    assert (reply.state, reply.exit_code) == (State.SUCCEEDED, 0)
    desk.drive(lambda: len(desk.finished) == 1)
    assert marks(desk) == ["start", "end"]


def test_after_the_host_was_killed_the_next_run_starts(desk: Desk) -> None:
    shell_that_waits(desk)
    release(desk)
    desk.do()

    kill_host(desk)

    assert desk.do().state is State.SUCCEEDED


def test_a_run_handed_to_a_host_that_dies_first_is_begun_once(desk: Desk) -> None:
    shell_that_waits(desk)
    release(desk)
    desk.launcher.step()
    process = desk.host._process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)

    run = desk.accept()
    desk.launcher.step()
    assert desk.launcher.running == 1
    kill_host(desk)

    assert desk.reply(run).state is State.SUCCEEDED
    assert marks(desk) == ["start", "end"]


@pytest.mark.spec("S1-31")
def test_a_run_outlives_its_worker_and_is_found_again(desk: Desk) -> None:
    run = started(desk)

    desk.close()
    desk.open()
    desk.drive(lambda: desk.launcher.running == 1)
    assert desk.launcher.waiting == 0
    release(desk)

    assert desk.reply(run).state is State.SUCCEEDED
    desk.drive(lambda: len(desk.finished) == 1)
    assert marks(desk) == ["start", "end"]


@pytest.mark.spec("S1-31", "S2-32")
def test_worker_runner_and_program_killed_is_interrupted_after_the_restart(desk: Desk) -> None:
    run = started(desk)

    desk.close()
    kill_runner(run)
    kill_program(run)
    desk.open()
    reply = desk.reply(run)

    assert (reply.state, reply.reason) == (State.FAILED, Reason.INTERRUPTED)
    assert marks(desk) == ["start"]


def test_an_adopted_program_still_has_its_time_limit(desk: Desk) -> None:
    desk.shell(f"echo start >> {desk.marks}; sleep 60", timeout=1.0)
    run = desk.accept()
    desk.drive(lambda: marks(desk) == ["start"])

    kill_runner(run)
    reply = desk.reply(run)

    assert reply.reason is Reason.TIMEOUT


def test_an_adopter_that_is_killed_is_adopted_too(desk: Desk) -> None:
    run = started(desk)

    for _ in range(3):
        kill_runner(run)
        desk.drive(lambda: (holder := run.holder()) is not None and is_alive(holder))
    release(desk)

    assert desk.reply(run).state is State.SUCCEEDED
    assert marks(desk) == ["start", "end"]


def test_a_claim_of_another_boot_is_dead_whatever_pid_it_names(desk: Desk) -> None:
    run = started(desk)
    desk.close()
    program, holder = run.program(), run.holder()
    assert program is not None
    assert holder is not None
    kill_runner(run)
    kill_program(run)
    init = birth(1)
    assert init is not None
    run.take_over(Holder(1, init, "another boot"))

    desk.open()

    assert desk.reply(run).reason is Reason.INTERRUPTED


@pytest.mark.spec("S1-31")
@pytest.mark.spec("F4")
def test_after_a_reboot_everything_that_ran_is_interrupted(
    desk: Desk,
) -> None:
    """The kernel has another boot id, and other processes have the pids; none of them is ours."""
    run = started(desk)
    waiting = desk.accept(not_before=now() + timedelta(hours=1))
    desk.close()
    kill_runner(run)
    kill_program(run)
    bystander = holder(os.getpid())
    run.take_over(replace(bystander, boot="the boot before"))
    program = run.program()
    assert program is not None
    run.announce(replace(program, holder=replace(bystander, boot="the boot before")))

    desk.open()
    reply = desk.reply(run)

    assert (reply.state, reply.reason) == (State.FAILED, Reason.INTERRUPTED)
    assert not waiting.is_settled
    assert desk.launcher.waiting == 1
    assert marks(desk) == ["start"]


@pytest.mark.spec("F21", "I10", "T7", "T15")
@pytest.mark.parametrize("cycles", [12, pytest.param(500, marks=pytest.mark.long)])
@pytest.mark.timeout(600)
def test_a_slot_is_free_again_whoever_of_its_holders_was_killed(desk: Desk, cycles: int) -> None:
    """The only one of the action: its runner, its program, its host, or both of the former."""
    desk.limits["shell.do"] = 1
    shell_that_waits(desk)
    deaths: list[Callable[[RunDirectory], object]] = [
        kill_program,
        lambda run: (kill_runner(run), kill_program(run)),
        lambda _run: kill_host(desk),
        kill_runner,
    ]
    for number in range(cycles):
        run, waiting = desk.accept(), desk.accept()
        begun = 2 * number + 1
        desk.drive(lambda begun=begun: marks(desk).count("start") == begun)
        assert not waiting.started_at()
        deaths[number % 4](run)
        release(desk)
        desk.reply(run)
        desk.reply(waiting)
        (desk.root / "go").unlink()

    desk.drive(lambda: desk.launcher.running == 0)
    assert marks(desk).count("start") == 2 * cycles
