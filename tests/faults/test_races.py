"""Cancels, edits and purges race with starts, hand-overs and each other: one of them wins."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleetjobs.errors import Problem
from fleetjobs.states import Reason, StartIf, State
from tests.faults.caller import Call, Caller
from tests.faults.checker import violations
from tests.faults.fleet import Fleet
from tests.faults.oracle import END, START, Mark, read_marks
from tests.faults.shares import ONE_STACK
from tests.processes import wait_for

NODE, OTHER = "node1", "node2"
pytestmark = ONE_STACK


@pytest.mark.spec("F16", "G7", "I1", "I3", "I9")
def test_a_cancel_that_meets_the_start_leaves_one_end(fleet: Fleet, caller: Caller) -> None:
    """Twenty of them, called off at every moment from acceptance to start."""
    for number in range(20):
        call = caller.submit(NODE, seconds=0.3)
        time.sleep(number * 0.01)  # the race itself
        caller.cancel(call)

    caller.wait()

    for call in caller.calls.values():
        assert caller.states(call) <= {State.SUCCEEDED, State.CANCELLED}
        assert words(fleet, call) in ([], [START], [START, END])
    assert violations(caller) == []


@pytest.mark.spec("F17", "I1", "I3", "I9")
def test_an_edit_that_meets_the_hand_over_is_done_or_too_late(fleet: Fleet, caller: Caller) -> None:
    for number in range(15):
        call = caller.submit(NODE)
        time.sleep(number * 0.01)  # the race itself
        caller.edit(call, "new")

    caller.wait()

    for call in caller.calls.values():
        assert len({mark.text for mark in read_marks(fleet.marks) if is_of(call, mark)}) == 1
    assert violations(caller) == []


@pytest.mark.spec("F17", "I1", "I3")
def test_of_two_editors_the_second_is_told_that_he_saw_another_job(
    fleet: Fleet, caller: Caller
) -> None:
    fleet.coordinator.kill()
    call = caller.submit(NODE)
    first, second = caller.job(call), caller.job(call)

    first.edit(data={"text": "first"})
    with pytest.raises(Problem) as outdated:
        second.edit(data={"text": "second"})
    call.texts = {"first"}
    fleet.coordinator.start()
    caller.wait(call)

    assert outdated.value.status == 412
    assert {mark.text for mark in read_marks(fleet.marks)} == {"first"}
    assert violations(caller) == []


@pytest.mark.spec("F17", "I1", "I7")
@pytest.mark.parametrize("when", [StartIf.SUCCEEDED, StartIf.COMPLETED])
def test_who_waits_for_a_job_that_is_called_off_is_skipped_or_goes_on(
    fleet: Fleet, caller: Caller, when: StartIf
) -> None:
    """The coordinator is killed in between; a chain of three."""
    first = caller.submit(NODE, seconds=5.0)
    second = caller.ask_after({first.job: when}, OTHER)
    third = caller.ask_after({second.job: StartIf.SUCCEEDED}, NODE)
    wait_for(lambda: words(fleet, first) == [START], within=30.0)

    caller.cancel(first)
    fleet.coordinator.restart("collector_after_commit")
    fleet.coordinator.blow()
    fleet.coordinator.bury()
    fleet.coordinator.start()
    caller.wait()

    wanted = State.SKIPPED if when is StartIf.SUCCEEDED else State.SUCCEEDED
    assert caller.states(first) == {State.CANCELLED}
    assert caller.states(second) == caller.states(third) == {wanted}
    reasons = {run["reason"] for call in (second, third) for run in caller.runs(call)}
    assert reasons == ({Reason.DEPENDENCY_FAILED} if wanted is State.SKIPPED else {None})
    assert violations(caller) == []


@pytest.mark.spec("F6", "I7", "G2")
def test_a_chain_goes_on_though_coordinator_and_server_are_killed_at_every_link(
    fleet: Fleet, caller: Caller
) -> None:
    last = caller.submit(NODE, seconds=0.3)
    for number in range(5):
        last = caller.ask_after({last.job: StartIf.SUCCEEDED}, (NODE, OTHER)[number % 2])
        caller.insist()

    for point in ("collector_before_commit", "dispatcher_after_publish", "collector_after_commit"):
        fleet.coordinator.restart(point)
        fleet.server.restart()
        fleet.coordinator.blow()
        fleet.coordinator.bury()
    fleet.heal()
    caller.wait()

    assert {state for call in caller.calls.values() for state in caller.states(call)} == {
        State.SUCCEEDED
    }
    assert violations(caller) == []


@pytest.mark.spec("F22", "I2")
def test_a_purge_forgets_no_job_of_which_a_slow_node_still_runs_a_part(
    fleet: Fleet, caller: Caller
) -> None:
    """And what a node tells of a job that is forgotten harms nobody."""
    ended = caller.submit(OTHER)
    caller.wait(ended)
    fleet.worker(NODE).kill()
    partly = caller.submit(NODE, OTHER)
    forced = caller.submit(NODE)
    wait_for(lambda: END in words(fleet, partly), within=30.0)
    caller.cancel(forced, force=True)

    purge(fleet)

    known = {job["id"] for job in fleet.client().jobs()}
    assert partly.job in known
    assert not {ended.job, forced.job} & known
    for call in (ended, forced):
        del caller.calls[call.job]
    before = {mark.attempt.job for mark in read_marks(fleet.marks)} - set(caller.calls)
    fleet.marks.write_text(
        "".join(
            line
            for line in fleet.marks.read_text().splitlines(keepends=True)
            if line.split()[0] not in before
        )
    )
    fleet.worker(NODE).start()
    caller.wait(partly)
    assert caller.states(partly) == {State.SUCCEEDED}
    assert violations(caller) == []


def purge(fleet: Fleet) -> None:
    """Forget all that has ended."""
    part = fleet.coordinator
    never = {"FLEETJOBS_COORDINATOR_KEEP_JOBS_DAYS": "0"}
    subprocess.run(
        [sys.executable, "-m", part.module, "prune", "--config", str(part.settings)],
        cwd=Path(__file__).parents[2],
        env={"PATH": os.environ["PATH"], **part.environment, **never},
        check=True,
        timeout=60,
    )


def is_of(call: Call, mark: Mark) -> bool:
    return mark.attempt.job == call.job


def words(fleet: Fleet, call: Call) -> list[str]:
    """What the job's marks say, in their order."""
    return [mark.word for mark in read_marks(fleet.marks) if mark.attempt.job == call.job]
