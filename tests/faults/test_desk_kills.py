"""Server and coordinator are killed: what was accepted happens, once, and is known."""

import pytest

from fleetjobs.crashpoints import CrashPoint
from fleetjobs.states import State
from tests.faults.caller import Caller
from tests.faults.checker import violations
from tests.faults.fleet import Fleet
from tests.faults.oracle import END, read_marks
from tests.processes import wait_for


@pytest.mark.spec("G2", "G3", "G4", "F6", "I1", "I2", "I3")
@pytest.mark.parametrize(
    "point", ["dispatcher_after_publish", "collector_before_commit", "collector_after_commit"]
)
def test_a_coordinator_killed_at_any_step_loses_and_repeats_nothing(
    fleet: Fleet, caller: Caller, point: CrashPoint
) -> None:
    coordinator = fleet.coordinator
    coordinator.restart(point)

    calls = [caller.submit() for _ in range(5)]
    coordinator.blow()
    coordinator.bury()
    coordinator.start()
    caller.wait(*calls)

    assert [caller.states(call) for call in calls] == [{State.SUCCEEDED}] * 5
    assert violations(caller) == []


@pytest.mark.spec("G1", "F6", "I1", "I3")
@pytest.mark.parametrize("point", ["control_before_commit", "control_after_commit"])
def test_a_server_killed_while_accepting_keeps_the_job_or_never_had_it(
    fleet: Fleet, caller: Caller, point: CrashPoint
) -> None:
    """The caller, who was told nothing, asks again in the same words: it is one job."""
    server = fleet.server
    server.restart(point)

    fleet.wait_for_server()
    call = caller.ask()
    server.blow()
    server.bury()
    server.start()
    caller.insist()
    caller.wait(call)

    assert caller.states(call) == {State.SUCCEEDED}
    assert violations(caller) == []


@pytest.mark.spec("F6", "I1", "I2", "S2-09")
def test_jobs_accepted_without_a_coordinator_happen_when_it_is_back(
    fleet: Fleet, caller: Caller
) -> None:
    fleet.coordinator.kill()

    calls = [caller.submit() for _ in range(5)]
    fleet.coordinator.start()
    caller.wait(*calls)

    assert [caller.states(call) for call in calls] == [{State.SUCCEEDED}] * 5
    assert violations(caller) == []


@pytest.mark.spec("F6", "I1")
def test_what_was_accepted_happens_without_a_server(fleet: Fleet, caller: Caller) -> None:
    call = caller.submit(seconds=0.5)

    fleet.server.kill()
    wait_for(lambda: sum(mark.word == END for mark in read_marks(fleet.marks)) == 2, within=30.0)
    fleet.server.start()
    caller.wait(call)

    assert caller.states(call) == {State.SUCCEEDED}
    assert violations(caller) == []
