"""Server and coordinator are killed: what was accepted happens, once, and is known."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fleetjobs.client.profile import read_profile
from fleetjobs.client.transport import Transport
from fleetjobs.crashpoints import CrashPoint
from fleetjobs.states import State
from tests.faults.caller import Caller
from tests.faults.checker import violations
from tests.faults.fleet import Fleet
from tests.faults.oracle import END, START, read_marks
from tests.faults.shares import ONE_STACK
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


@ONE_STACK
@pytest.mark.spec("F6", "F21", "I10")
@pytest.mark.parametrize(
    "point",
    [
        pytest.param("dispatcher_after_lining_up", marks=pytest.mark.long),
        "dispatcher_after_giving_slots",
        pytest.param("dispatcher_after_publish", marks=pytest.mark.long),
        pytest.param("collector_before_commit", marks=pytest.mark.long),
    ],
)
def test_a_coordinator_killed_around_slots_gives_one_at_a_time_and_loses_none(
    fleet: Fleet, caller: Caller, point: CrashPoint
) -> None:
    """Two jobs on two nodes, one run of the action at once in all of the fleet."""
    with limited_to_one(fleet):
        fleet.coordinator.restart(point)

        calls = [caller.submit(seconds=0.2) for _ in range(2)]
        fleet.coordinator.blow()
        fleet.coordinator.bury()
        fleet.coordinator.start()
        caller.wait(*calls)

        words = [mark.word for mark in read_marks(fleet.marks)]
        assert words == [START, END] * 4
    assert violations(caller) == []


@contextmanager
def limited_to_one(fleet: Fleet) -> Iterator[None]:
    """No two runs of what leaves marks at once; without that again afterwards."""
    profile = read_profile(fleet.premises.client)
    place = ("limits", "demo.mark")
    Transport(profile).send("PUT", *place, body=b'{"max_parallel": 1}')
    yield
    Transport(profile).send("DELETE", *place, body=b"")


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
