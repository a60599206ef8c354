"""A node's processes are killed and paused: nothing is lost, and nothing begins twice."""

import os
import signal

import pytest

from fleetjobs.crashpoints import CrashPoint
from fleetjobs.spool.attempts import RunDirectory
from fleetjobs.states import Reason, State
from tests.faults.caller import Call, Caller
from tests.faults.checker import violations
from tests.faults.fleet import Fleet
from tests.faults.oracle import START, Mark, read_marks
from tests.faults.shares import ONE_STACK
from tests.processes import wait_for

NODE = "node1"
LONG_S = 1.5  #: long enough to be killed in


@pytest.mark.spec("G3", "G4", "F1", "I1", "I2", "I3", "I10")
@pytest.mark.parametrize("point", ["before_spool", "after_spool", "after_ack", "after_send"])
def test_a_worker_killed_at_any_step_loses_and_repeats_nothing(
    fleet: Fleet, caller: Caller, point: CrashPoint
) -> None:
    worker = fleet.worker(NODE)
    worker.restart(point)

    call = caller.submit()
    worker.blow()
    worker.bury()
    worker.start()
    caller.wait(call)

    assert caller.states(call) == {State.SUCCEEDED}
    assert violations(caller) == []


@ONE_STACK
@pytest.mark.spec("F1", "F6", "G2", "G3", "I1", "I2", "I3")
def test_whoever_is_killed_over_what_travels_together_loses_and_repeats_nothing(
    fleet: Fleet, caller: Caller
) -> None:
    """First who reads the deliveries, with some of them on disk; then who reads the replies."""
    worker, coordinator = fleet.worker(NODE), fleet.coordinator
    coordinator.kill()
    calls = [caller.submit(NODE) for _ in range(4)]
    query, other = (caller.ask_inline(NODE) for _ in range(2))
    worker.restart("between_deliveries")

    coordinator.start("dispatcher_after_publish")
    worker.blow()
    worker.bury()
    coordinator.blow()
    coordinator.bury()
    coordinator.start("collector_before_commit")
    worker.start()
    coordinator.blow()
    coordinator.bury()
    coordinator.start()
    caller.wait(*calls, query, other)

    assert [caller.states(call) for call in calls] == [{State.SUCCEEDED}] * 4
    assert [caller.begun(call) for call in calls] == [1] * 4
    assert violations(caller) == []


@pytest.mark.spec("F1", "I1", "I3")
@pytest.mark.parametrize(
    ("point", "state"),
    [
        ("after_fork", State.SUCCEEDED),
        ("after_claim", State.FAILED),
        ("after_announce", State.FAILED),
        ("mid_run", State.SUCCEEDED),
        ("before_outbox", State.SUCCEEDED),
        ("after_outbox", State.SUCCEEDED),
    ],
)
def test_a_runner_killed_at_any_step_begins_its_action_at_most_once(
    fleet: Fleet, caller: Caller, point: CrashPoint, state: State
) -> None:
    worker = fleet.worker(NODE)
    worker.restart(point)

    call = caller.submit(NODE)
    worker.blow()
    caller.wait(call)

    assert caller.states(call) == {state}
    assert violations(caller) == []


@pytest.mark.spec("F1", "I1", "I3")
def test_an_inline_action_whose_worker_was_killed_has_an_end(fleet: Fleet, caller: Caller) -> None:
    """It was written down as begun, so it is not begun again; nobody knows how far it came."""
    worker = fleet.worker(NODE)
    worker.restart("after_seen")

    call = caller.ask_inline(NODE)
    worker.blow()
    worker.bury()
    worker.start()
    caller.wait(call)

    assert [run["reason"] for run in caller.runs(call)] == [Reason.INTERRUPTED]
    assert violations(caller) == []


@pytest.mark.spec("F1", "I1", "I2", "I3")
def test_an_action_outlives_its_worker(fleet: Fleet, caller: Caller) -> None:
    call = start_one(fleet, caller)

    fleet.worker(NODE).restart()
    caller.wait(call)

    assert caller.states(call) == {State.SUCCEEDED}
    assert violations(caller) == []


@pytest.mark.spec("F1", "I1", "I2", "I3")
def test_an_action_that_ends_while_its_worker_is_dead_is_reported(
    fleet: Fleet, caller: Caller
) -> None:
    call = start_one(fleet, caller)

    fleet.worker(NODE).kill()
    wait_for(lambda: run_of(fleet, call).is_settled, within=30.0)
    fleet.worker(NODE).start()
    caller.wait(call)

    assert caller.states(call) == {State.SUCCEEDED}
    assert violations(caller) == []


@pytest.mark.spec("G2", "G4", "F2", "I1", "I3")
def test_an_action_outlives_the_runner_host(fleet: Fleet, caller: Caller) -> None:
    call = start_one(fleet, caller)

    kill_host(fleet)
    later = caller.submit(NODE)
    caller.wait(call, later)

    assert caller.states(call) == caller.states(later) == {State.SUCCEEDED}
    assert violations(caller) == []


@pytest.mark.spec("G2", "G4", "F2", "I1", "I3")
def test_an_action_outlives_worker_host_and_runner(fleet: Fleet, caller: Caller) -> None:
    """Of three that watch over it, none is left; the program goes on, and its reply counts."""
    call = start_one(fleet, caller)

    fleet.worker(NODE).kill()
    kill_runner(run_of(fleet, call))
    fleet.worker(NODE).start()
    caller.wait(call)

    assert caller.states(call) == {State.SUCCEEDED}
    assert violations(caller) == []


@pytest.mark.spec("G2", "G4", "F2", "I1", "I3")
@pytest.mark.parametrize("with_runner", [False, True])
def test_a_killed_program_is_a_failure_and_not_tried_again(
    fleet: Fleet, caller: Caller, *, with_runner: bool
) -> None:
    call = start_one(fleet, caller)
    call.harmed = True

    run = run_of(fleet, call)
    if with_runner:
        kill_runner(run)
    kill_program(run)
    caller.wait(call)

    assert caller.states(call) == {State.FAILED}
    assert violations(caller) == []


@pytest.mark.spec("F3", "I1", "I3")
def test_a_paused_worker_begins_nothing_twice_however_often_it_is_asked(
    fleet: Fleet, caller: Caller
) -> None:
    """The coordinator asks after the run while the worker sleeps; all of it arrives at once."""
    running = start_one(fleet, caller)
    fleet.worker(NODE).pause()
    waiting = caller.submit()

    caller.wait(caller.submit("node2", seconds=4 * LONG_S))
    fleet.worker(NODE).resume()
    caller.wait(running, waiting)

    assert caller.states(running) == caller.states(waiting) == {State.SUCCEEDED}
    assert violations(caller) == []


def start_one(fleet: Fleet, caller: Caller) -> Call:
    """A job whose program is at work."""
    call = caller.submit(NODE, seconds=LONG_S)
    wait_for(lambda: any(has_begun(call, mark) for mark in read_marks(fleet.marks)), within=30.0)
    return call


def has_begun(call: Call, mark: Mark) -> bool:
    return mark.attempt.job == call.job and mark.word == START


def run_of(fleet: Fleet, call: Call) -> RunDirectory:
    run = fleet.run_directory(call.job, NODE)
    assert run is not None
    return run


def kill_runner(run: RunDirectory) -> None:
    holder = run.holder()
    assert holder is not None
    os.kill(holder.pid, signal.SIGKILL)


def kill_program(run: RunDirectory) -> None:
    program = run.program()
    assert program is not None
    os.kill(program.holder.pid, signal.SIGKILL)


def kill_host(fleet: Fleet) -> None:
    host = fleet.worker(NODE).child("runner_host")
    assert host is not None
    host.kill()
