"""Orders: an attempt is given back or ended wherever it stands, and whoever was killed."""

import os
import signal
from datetime import timedelta

import pytest

from fleetjobs.messages import Reply, Stage, Verb
from fleetjobs.node.process import is_alive, tree
from fleetjobs.spool.attempts import RunDirectory, RunKey
from fleetjobs.spool.fences import Fence
from fleetjobs.states import Reason, State
from tests.workbench import Desk, make_key, now, wait_for

OK = 'echo \'{"data": {"ok": 1}}\' > "$FLEETJOBS_REPLY"'
#: a child, a grandchild, one that ignores TERM, and a daemon that has left group and session
FAMILY = """
sh -c 'sleep 600 & wait' &
sh -c 'trap "" TERM; while :; do sleep 0.1; done' &
setsid sh -c 'trap "" TERM; sleep 600 & while :; do sleep 0.1; done' &
setsid -f sleep 600
"""


def marks(desk: Desk) -> list[str]:
    """What the programs themselves say was done."""
    try:
        return desk.marks.read_text().split()
    except FileNotFoundError:
        return []


def shell_that_waits(desk: Desk, first: str = "") -> None:
    """A program that marks its start and its end, and ends when it is released."""
    desk.shell(
        f"{first}\necho ready; echo start >> {desk.marks}; until [ -e {desk.root}/go ];"
        f" do sleep 0.02; done; echo end >> {desk.marks}; {OK}"
    )


def started(desk: Desk, first: str = "", **options: object) -> RunDirectory:
    """A run whose program is at work."""
    shell_that_waits(desk, first)
    run = desk.accept(**options)
    desk.drive(lambda: marks(desk) == ["start"])
    return run


def left_over(run: RunDirectory) -> set[int]:
    return tree(None, f"FLEETJOBS_REQUEST={run.path / 'request.json'}")


def kill_runner(run: RunDirectory) -> None:
    holder = run.holder()
    assert holder is not None
    os.kill(holder.pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(holder))


@pytest.mark.spec("S0-04")
@pytest.mark.spec("I9")
def test_a_stop_ends_the_whole_tree_and_keeps_what_was_written(desk: Desk) -> None:
    run = started(desk, FAMILY)
    wait_for(lambda: len(left_over(run)) >= 7)

    asked = desk.order(Verb.STOP, run.key)
    reply = desk.reply(run)

    assert (asked.stage, asked.generation) == (Stage.STARTED, 1)
    assert (reply.state, reply.reason) == (State.CANCELLED, Reason.CANCELLED)
    assert (reply.statusmsg, reply.generation) == ("cancelled", 1)
    assert reply.stdout is not None
    assert reply.stdout.content == b"ready\n"
    assert left_over(run) == set()
    assert marks(desk) == ["start"]


@pytest.mark.spec("S0-10")
@pytest.mark.spec("F2")
def test_a_stop_works_when_the_runner_was_killed(desk: Desk) -> None:
    run = started(desk, FAMILY)

    kill_runner(run)
    desk.order(Verb.STOP, run.key)

    assert desk.reply(run).state is State.CANCELLED
    assert left_over(run) == set()


@pytest.mark.spec("S0-10")
def test_a_stop_works_after_the_restart_of_the_worker(desk: Desk) -> None:
    run = started(desk, FAMILY)

    desk.close()
    desk.open()
    desk.drive(lambda: desk.launcher.running == 1)
    desk.order(Verb.STOP, run.key)

    assert desk.reply(run).state is State.CANCELLED
    assert left_over(run) == set()


@pytest.mark.spec("F16")
def test_a_stop_that_came_before_the_worker_died_is_carried_out_after_it(desk: Desk) -> None:
    run = started(desk, FAMILY)

    desk.order(Verb.STOP, run.key)
    desk.close()
    desk.open()

    assert desk.reply(run).state is State.CANCELLED


@pytest.mark.spec("F16")
def test_a_runner_killed_while_it_stops_its_program_is_succeeded_by_one_that_does(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETJOBS_CRASH_POINT", "before_stop")
    monkeypatch.setenv("FLEETJOBS_CRASH_ONCE", str(desk.root / "once"))
    run = started(desk, FAMILY)

    desk.order(Verb.STOP, run.key)
    reply = desk.reply(run)

    assert (desk.root / "once").exists()
    assert reply.state is State.CANCELLED
    assert left_over(run) == set()


@pytest.mark.parametrize("point", ["after_fork", "after_claim", "after_announce", "mid_run"])
@pytest.mark.spec("F16")
def test_a_stop_and_a_runner_killed_anywhere_end_in_one_final_reply(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    monkeypatch.setenv("FLEETJOBS_CRASH_POINT", point)
    monkeypatch.setenv("FLEETJOBS_CRASH_ONCE", str(desk.root / "once"))
    shell_that_waits(desk)
    run = desk.accept()
    desk.drive((desk.root / "once").exists)

    desk.order(Verb.STOP, run.key)
    reply = desk.reply(run)

    # a runner that adopts may have settled what never began just before the order came
    assert reply.state is State.CANCELLED or point == "after_claim"
    assert "end" not in marks(desk)
    assert left_over(run) == set()
    assert len(desk.spool.outbox()) == 1


@pytest.mark.spec("S0-05")
@pytest.mark.parametrize(
    ("verb", "stage", "state"),
    [(Verb.WITHDRAW, Stage.WITHDRAWN, None), (Verb.STOP, Stage.FINISHED, State.CANCELLED)],
)
def test_what_waits_on_the_node_never_starts_after_an_order(
    desk: Desk, verb: Verb, stage: Stage, state: State | None
) -> None:
    desk.shell(f"echo start >> {desk.marks}; {OK}")
    run = desk.accept(not_before=now() + timedelta(seconds=0.3))
    desk.launcher.step()

    reply = desk.order(verb, run.key)
    other = desk.accept(not_before=now() + timedelta(seconds=0.5))

    assert (reply.stage, reply.state, reply.generation) == (stage, state, 1)
    desk.reply(other)
    assert marks(desk) == ["start"]
    assert desk.launcher.waiting == 0
    assert desk.order(verb, run.key).stage is stage


@pytest.mark.spec("S0-05")
def test_what_was_withdrawn_comes_anew_in_its_place(desk: Desk) -> None:
    """Another time and other data, the same attempt."""
    desk.shell(f'grep -o "new\\|old" "$FLEETJOBS_REQUEST" >> {desk.marks}; {OK}')
    run = desk.accept(not_before=now() + timedelta(seconds=0.3), text="old")
    desk.launcher.step()
    assert desk.order(Verb.WITHDRAW, run.key).stage is Stage.WITHDRAWN

    again = desk.accept(run.key, text="new", generation=2)
    reply = desk.reply(again)

    assert (reply.state, reply.generation) == (State.SUCCEEDED, 2)
    assert marks(desk) == ["new"]


@pytest.mark.spec("S0-05")
def test_it_is_too_late_to_withdraw_what_runs_or_has_ended(desk: Desk) -> None:
    run = started(desk)

    running = desk.order(Verb.WITHDRAW, run.key)
    (desk.root / "go").touch()
    desk.reply(run)
    ended = desk.order(Verb.WITHDRAW, run.key, 2)

    assert (running.stage, ended.stage) == (Stage.STARTED, Stage.FINISHED)
    assert ended.state is State.SUCCEEDED


@pytest.mark.spec("F16")
def test_what_finished_before_the_stop_keeps_its_end(desk: Desk) -> None:
    desk.shell(OK)
    run = desk.accept()
    desk.reply(run)

    assert desk.order(Verb.STOP, run.key).state is State.SUCCEEDED
    assert desk.read(run).state is State.SUCCEEDED


@pytest.mark.spec("F16")
def test_a_stop_that_meets_the_start_leaves_one_end(desk: Desk) -> None:
    """Twenty runs, stopped at every moment of their start; each is cancelled or never began."""
    desk.shell(f"echo start >> {desk.marks}; sleep 600")
    runs = [desk.accept() for _ in range(20)]

    def stop_one_after_the_other() -> bool:
        for run in runs:
            desk.launcher.step()
            desk.order(Verb.STOP, run.key)
        return True

    desk.drive(stop_one_after_the_other)
    replies = [desk.reply(run) for run in runs]

    assert {reply.state for reply in replies} == {State.CANCELLED}
    assert all(left_over(run) == set() for run in runs)
    desk.drive(lambda: desk.launcher.running == 0)
    assert len(desk.finished) == 20


@pytest.mark.spec("I9")
def test_a_stop_of_what_never_came_is_kept_for_when_it_comes(desk: Desk) -> None:
    key = make_key()

    reply = desk.order(Verb.STOP, key)

    assert (reply.stage, reply.state, reply.generation) == (Stage.FINISHED, State.CANCELLED, 1)
    desk.close()
    desk.open()
    fence = desk.spool.fences.find(key)
    assert fence is not None
    assert fence.bars(0)


@pytest.mark.parametrize(
    "verb",
    [Verb.WITHDRAW, Verb.STOP],
)
@pytest.mark.spec("S0-11")
def test_an_order_half_done_is_finished_after_a_power_cut(desk: Desk, verb: Verb) -> None:
    """The fence is on the disk, and nothing else was done."""
    desk.shell(f"echo start >> {desk.marks}; {OK}")
    run = desk.accept()
    desk.spool.fences.put(run.key, Fence(generation=1, verb=verb, at=now()))

    desk.close()
    desk.open()
    desk.reply(desk.accept())

    assert marks(desk) == ["start"]
    expected = Stage.WITHDRAWN if verb is Verb.WITHDRAW else Stage.FINISHED
    assert desk.order(verb, run.key).stage is expected


@pytest.mark.spec("I3")
def test_the_next_attempt_begins_when_the_last_one_has_ended(desk: Desk) -> None:
    first = started(desk, FAMILY)

    for earlier in desk.spool.earlier(RunKey(first.key.job, 2)):
        desk.orders.stop(earlier, "attempt 2 was asked for")
        desk.launcher.reconsider(earlier.key)
    second = desk.accept(RunKey(first.key.job, 2))
    (reply,) = _until_finished(desk, 1)

    assert not second.started_at()
    assert (reply.attempt, reply.state) == (1, State.CANCELLED)
    assert reply.statusmsg == "attempt 2 was asked for"
    assert left_over(first) == set()
    desk.drive(second.started_at)
    (desk.root / "go").touch()
    assert desk.reply(second).state is State.SUCCEEDED


def _until_finished(desk: Desk, count: int) -> list[Reply]:
    desk.drive(lambda: len(desk.finished) >= count)
    return desk.finished


@pytest.mark.spec("S1-31")
def test_what_an_interrupted_attempt_has_left_is_ended_with_it(desk: Desk) -> None:
    """Runner and program were killed; another attempt must not meet what they had started."""
    run = started(desk, FAMILY)
    program = run.program()
    assert program is not None

    kill_runner(run)
    os.kill(program.holder.pid, signal.SIGKILL)
    reply = desk.reply(run)

    assert reply.reason is Reason.INTERRUPTED
    assert left_over(run) == set()


def test_a_reason_for_the_stop_is_told(desk: Desk) -> None:
    run = started(desk)

    desk.orders.stop(run, "cancelled by remote control")
    desk.launcher.reconsider(run.key)

    assert desk.reply(run).statusmsg == "cancelled by remote control"
