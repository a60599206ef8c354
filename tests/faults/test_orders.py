"""What was accepted is called off, held, changed and lost: whoever dies meanwhile."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest

from fleetjobs.crashpoints import CrashPoint
from fleetjobs.errors import Problem
from fleetjobs.states import Reason, State, WaitReason
from tests.faults.caller import Call, Caller
from tests.faults.checker import violations
from tests.faults.fleet import PROGRAM, Fleet, at_work
from tests.faults.oracle import END, START, read_marks
from tests.faults.shares import ONE_STACK
from tests.processes import wait_for

NODE = "node1"
STOP_S = 30.0  #: TERM, ten seconds, KILL; on a busy machine
LOST_S = 75.0  #: silent for 30 s, and our coordinator has listened for as long
pytestmark = ONE_STACK


class Families:
    """The families that a test has raised; none outlives it."""

    def __init__(self, fleet: Fleet, caller: Caller) -> None:
        """None yet."""
        self._fleet, self._caller = fleet, caller
        self._calls: list[Call] = []

    def raise_one(self) -> Call:
        """A job whose program is at work and, as all its children, deaf to SIGTERM."""
        call = self._caller.ask_stubborn("family", NODE)
        self._calls.append(call)
        wait_for(lambda: words(self._fleet, call) == [START], within=30.0)
        wait_for(lambda: len(self.of(call)) >= 4, within=30.0)
        return call

    def of(self, call: Call) -> set[int]:
        """Its living processes, daemons too: what its program named, and the program itself."""
        found = set()
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("STUBBORN") == call.job:
                    found.add(process.pid)
        run = self._fleet.run_directory(call.job, NODE)
        program = at_work(run).get(PROGRAM) if run else None
        return found | ({program.pid} if program else set())

    def end(self) -> None:
        """SIGKILL to whoever is left."""
        for call in self._calls:
            for pid in self.of(call):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def families(fleet: Fleet, caller: Caller) -> Iterator[Families]:
    """Where they are raised."""
    families = Families(fleet, caller)
    yield families
    families.end()


@pytest.mark.spec("G7", "F16", "I9")
def test_of_a_cancelled_action_no_process_is_left(
    fleet: Fleet, caller: Caller, families: Families
) -> None:
    call = families.raise_one()

    caller.cancel(call)
    caller.wait(call, within=STOP_S)

    assert families.of(call) == set()
    assert caller.states(call) == {State.CANCELLED}
    assert words(fleet, call) == [START]
    assert violations(caller) == []


@pytest.mark.spec("F1", "F16", "I9")
@pytest.mark.parametrize("point", ["after_fence", "before_stop"])
def test_a_cancel_is_carried_out_though_its_executor_was_killed(
    fleet: Fleet, caller: Caller, families: Families, point: CrashPoint
) -> None:
    worker = fleet.worker(NODE)
    worker.restart(point)
    call = families.raise_one()

    caller.cancel(call)
    worker.blow()
    if point == "after_fence":  # it is the worker that dies there; else a runner
        worker.bury()
        worker.start()
    caller.wait(call)

    assert families.of(call) == set()
    assert caller.states(call) == {State.CANCELLED}
    assert violations(caller) == []


@pytest.mark.spec("G7", "F16", "I9")
@pytest.mark.parametrize("force", [False, True])
def test_an_action_at_work_without_its_worker_is_stopped_when_that_is_back(
    fleet: Fleet, caller: Caller, families: Families, *, force: bool
) -> None:
    call = families.raise_one()
    fleet.worker(NODE).kill()

    confirmed = caller.cancel(call, force=force)
    meanwhile = caller.states(call)
    fleet.worker(NODE).start()
    wait_for(lambda: caller.job(call).is_confirmed, within=STOP_S)
    caller.wait(call)
    wait_for(lambda: families.of(call) == set(), within=STOP_S)

    assert confirmed is False
    assert meanwhile == {State.CANCELLED if force else State.CANCELLING}
    assert caller.states(call) == {State.CANCELLED}
    assert violations(caller) == []


@pytest.mark.spec("G7", "F16", "I9")
@pytest.mark.parametrize("force", [False, True])
def test_a_copy_queued_for_a_dead_worker_never_starts_once_called_off(
    fleet: Fleet, caller: Caller, *, force: bool
) -> None:
    call = queued(fleet, caller)

    caller.cancel(call, force=force)
    fleet.worker(NODE).start()
    caller.wait(call, caller.submit(NODE))

    assert caller.states(call) == {State.CANCELLED}
    assert words(fleet, call) == []
    assert violations(caller) == []


@pytest.mark.spec("F16", "I1", "I9")
def test_what_is_cancelled_twice_ends_once(fleet: Fleet, caller: Caller) -> None:
    call = started(fleet, caller)

    caller.cancel(call)
    caller.cancel(call)
    caller.wait(call)
    caller.cancel(call, force=True)

    ends = [event for event in fleet.client().events(call.job) if is_end(event)]
    assert len(ends) == 1
    assert caller.states(call) == {State.CANCELLED}
    assert violations(caller) == []


def is_end(event: dict[str, Any]) -> bool:
    return event["node"] is not None and event["new"] == State.CANCELLED


@pytest.mark.spec("F16", "I1", "I2", "I9")
def test_a_cancel_that_meets_the_finish_leaves_one_end(fleet: Fleet, caller: Caller) -> None:
    """Ten of them, called off at every moment around their end."""
    for number in range(10):
        call = started(fleet, caller, seconds=0.2)
        time.sleep(number * 0.04)  # the race itself
        caller.cancel(call)

    caller.wait()

    for call in caller.calls.values():
        assert caller.states(call) <= {State.SUCCEEDED, State.CANCELLED}
    assert violations(caller) == []


@pytest.mark.spec("F17", "I3")
def test_what_was_edited_while_its_worker_was_dead_runs_as_edited_and_once(
    fleet: Fleet, caller: Caller
) -> None:
    call = queued(fleet, caller)

    confirmed = caller.edit(call, "new")
    fleet.worker(NODE).start()
    caller.wait(call)

    assert confirmed is False
    assert caller.states(call) == {State.SUCCEEDED}
    assert [mark.text for mark in marks(fleet, call)] == ["new", "new"]
    assert violations(caller) == []


@pytest.mark.spec("F17", "I3")
@pytest.mark.parametrize("point", ["after_fence", "before_spool", "after_spool"])
def test_an_edit_survives_the_worker_that_gives_the_old_text_back(
    fleet: Fleet, caller: Caller, point: CrashPoint
) -> None:
    call = queued(fleet, caller)

    caller.edit(call, "new")
    worker = fleet.worker(NODE)
    worker.start(point)
    worker.blow()
    worker.bury()
    worker.start()
    caller.wait(call)

    assert caller.states(call) == {State.SUCCEEDED}
    assert words(fleet, call) == [START, END]
    assert violations(caller) == []


@pytest.mark.spec("F17", "I3")
def test_what_is_held_begins_when_it_is_released(fleet: Fleet, caller: Caller) -> None:
    """Queued on a dead worker: held once that has come back and has given it up."""
    fleet.worker(NODE).kill()
    fleet.coordinator.kill()
    call = caller.submit(NODE)

    caller.hold(call)
    fleet.coordinator.start()
    fleet.worker(NODE).start()
    caller.wait(caller.submit(NODE))
    wait_for(lambda: caller.job(call).is_confirmed, within=30.0)
    held = (caller.states(call), words(fleet, call))
    caller.release(call)
    caller.wait(call)

    assert held == ({State.PAUSED}, [])
    assert caller.states(call) == {State.SUCCEEDED}
    assert words(fleet, call) == [START, END]
    assert violations(caller) == []


@pytest.mark.spec("F17", "I3")
def test_what_is_queued_is_held_or_has_begun_and_never_both(fleet: Fleet, caller: Caller) -> None:
    call = queued(fleet, caller)

    caller.hold(call)
    fleet.worker(NODE).start()
    wait_for(lambda: caller.job(call).is_confirmed, within=30.0)
    was_held = caller.states(call) == {State.PAUSED}
    begun = words(fleet, call)
    caller.release(call)
    caller.wait(call)

    assert bool(begun) is not was_held
    assert words(fleet, call) == [START, END]
    assert violations(caller) == []


@pytest.mark.spec("F1", "I4")
def test_a_person_hastens_the_next_attempt_of_what_failed(fleet: Fleet, caller: Caller) -> None:
    """The second retry is due in half a minute; the worker is killed when it is asked for."""
    call = caller.ask_stubborn("flaky", NODE, times=2, retries=2)
    wait_for(lambda: is_second_retry(caller, call), within=30.0)

    fleet.worker(NODE).kill()
    caller.job(call).retry()
    fleet.worker(NODE).start()
    caller.wait(call, within=20.0)

    assert caller.states(call) == {State.SUCCEEDED}
    assert [mark.attempt.number for mark in marks(fleet, call)] == [1, 2, 3, 3]
    assert violations(caller) == []


def is_second_retry(caller: Caller, call: Call) -> bool:
    [run] = caller.runs(call)
    return (run["attempt"], run["wait_reason"]) == (3, WaitReason.RETRY)


@pytest.mark.spec("I3", "I4")
def test_what_failed_for_good_is_tried_again_as_a_new_job(fleet: Fleet, caller: Caller) -> None:
    call = caller.ask_stubborn("flaky", NODE, times=1)
    caller.wait(call)

    again = caller.retry(call)
    caller.wait(again)

    assert fleet.client().job(again.job)["rerun_of"] == call.job
    assert [words(fleet, each) for each in (call, again)] == [[START], [START]]
    assert violations(caller) == []


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.spec("G7", "F3", "S1-14", "I1", "I3")
def test_the_runs_of_a_silent_worker_are_lost_until_it_tells_the_truth(
    fleet: Fleet, caller: Caller
) -> None:
    """One ends while its worker sleeps, one is still at work when that wakes up."""
    ended = caller.ask_stubborn("slow", NODE, seconds=1.0)
    going = caller.ask_stubborn("slow", NODE, seconds=300.0)
    for call in (ended, going):
        wait_for(lambda call=call: caller.states(call) == {State.RUNNING}, within=30.0)

    fleet.worker(NODE).pause()
    for call in (ended, going):
        wait_for(lambda call=call: is_lost(caller, call), within=LOST_S, every=0.2)
    fleet.worker(NODE).resume()
    caller.wait(ended, within=30.0)
    wait_for(lambda: caller.states(going) == {State.RUNNING}, within=30.0)
    enough = fleet.marks.with_name("enough")
    enough.touch()
    caller.wait(going, within=30.0)
    enough.unlink()

    for call in (ended, going):
        assert caller.states(call) == {State.SUCCEEDED}
        assert not caller.job(call).document["attention"]
        assert words(fleet, call) == [START, END]
    assert violations(caller) == []


def is_lost(caller: Caller, call: Call) -> bool:
    [run] = caller.runs(call)
    return (run["state"], run["reason"], run["attention"]) == (State.PAUSED, Reason.LOST, True)


@pytest.mark.spec("F16", "I1")
def test_what_has_ended_is_neither_held_nor_changed(caller: Caller) -> None:
    call = caller.submit(NODE)
    caller.wait(call)

    with pytest.raises(Problem):
        caller.hold(call)
    call.held = False

    assert caller.edit(call, "new") is False
    caller.cancel(call)
    assert caller.states(call) == {State.SUCCEEDED}
    assert violations(caller) == []


def queued(fleet: Fleet, caller: Caller) -> Call:
    """A job that was handed to a node whose worker is dead."""
    fleet.worker(NODE).kill()
    call = caller.submit(NODE)
    wait_for(lambda: caller.states(call) == {State.QUEUED}, within=30.0)
    return call


def started(fleet: Fleet, caller: Caller, seconds: float = 5.0) -> Call:
    """A job whose program is at work."""
    call = caller.submit(NODE, seconds=seconds)
    wait_for(lambda: words(fleet, call), within=30.0)
    return call


def marks(fleet: Fleet, call: Call) -> list[Any]:
    return [mark for mark in read_marks(fleet.marks) if mark.attempt.job == call.job]


def words(fleet: Fleet, call: Call) -> list[str]:
    return [mark.word for mark in marks(fleet, call)]
