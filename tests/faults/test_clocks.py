"""Clocks are off and jump: what is refused is refused in writing, and nothing begins twice."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from fleetjobs.states import State
from tests.faults.caller import Call, Caller
from tests.faults.checker import violations
from tests.faults.fleet import Fleet
from tests.faults.oracle import END, START, read_marks
from tests.faults.shifted import shift, unshift
from tests.processes import wait_for

NODE, OTHER = "node1", "node2"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
JUMPS = [HOUR, -DAY, *(pytest.param(by, marks=pytest.mark.long) for by in (DAY, -HOUR))]
pytestmark = pytest.mark.parametrize("fleet", ["redis-sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def _right_again(fleet: Fleet) -> Iterator[None]:
    yield
    for part in (fleet.worker(NODE), fleet.coordinator, fleet.server):
        unshift(part)


@pytest.mark.spec("F11", "G8", "I1", "I3")
@pytest.mark.parametrize("by", [-HOUR, -DAY], ids=["an hour", "a day"])
def test_a_node_that_is_behind_refuses_what_comes_from_its_future_until_it_is_right(
    fleet: Fleet, caller: Caller, by: timedelta
) -> None:
    shift(fleet.worker(NODE), by)

    behind, right = caller.submit(NODE), caller.submit(OTHER)
    caller.wait(right)
    wait_for(lambda: refused(fleet), within=30.0)
    begun = words(fleet, behind)
    shift(fleet.worker(NODE), timedelta(0))
    caller.wait(behind)

    assert begun == []
    assert caller.states(behind) == {State.SUCCEEDED}
    assert violations(caller) == []


@pytest.mark.spec("F11", "I1", "I3")
@pytest.mark.parametrize("minutes", [-9, 9])
def test_a_node_that_is_some_minutes_off_works(fleet: Fleet, caller: Caller, minutes: int) -> None:
    shift(fleet.worker(NODE), timedelta(minutes=minutes))

    call = caller.submit(NODE)
    caller.wait(call)

    assert caller.states(call) == {State.SUCCEEDED}
    assert violations(caller) == []


@pytest.mark.spec("F11", "I1", "I3", "I5")
def test_what_is_too_late_by_the_nodes_clock_expires_in_writing(
    fleet: Fleet, caller: Caller
) -> None:
    """Who is right, the node cannot know: it does not start what it must not start any more."""
    shift(fleet.worker(NODE), DAY)

    call = caller.submit(NODE)
    caller.wait(call)

    assert caller.states(call) == {State.EXPIRED}
    assert words(fleet, call) == []
    assert violations(caller) == []


@pytest.mark.spec("F11", "I1", "I3")
@pytest.mark.parametrize("by", JUMPS, ids=str)
def test_a_node_whose_clock_jumps_while_it_works_ends_what_it_began(
    fleet: Fleet, caller: Caller, by: timedelta
) -> None:
    shift(fleet.worker(NODE), timedelta(0))
    running = caller.submit(NODE, seconds=1.5)
    later = caller.submit(NODE, not_before=datetime.now(UTC) + timedelta(seconds=3))
    wait_for(lambda: words(fleet, running) == [START], within=30.0)
    wait_for(lambda: fleet.run_directory(later.job, NODE), within=30.0)

    shift(fleet.worker(NODE), by)
    wait_for(lambda: words(fleet, running) == [START, END], within=30.0)
    shift(fleet.worker(NODE), timedelta(0))
    caller.wait()

    assert caller.states(running) == {State.SUCCEEDED}
    assert caller.states(later) <= {State.SUCCEEDED, State.EXPIRED}
    assert violations(caller) == []


@pytest.mark.spec("F11", "I1", "I2", "I3")
@pytest.mark.parametrize(
    "by", [HOUR, pytest.param(-DAY, marks=pytest.mark.long), *JUMPS[2:]], ids=str
)
def test_a_coordinator_whose_clock_jumps_loses_nothing_and_calls_nothing_lost(
    fleet: Fleet, caller: Caller, by: timedelta
) -> None:
    """It has listened to nobody in the hour that it skipped."""
    shift(fleet.coordinator, timedelta(0))
    fleet.wait_for_server()
    running = caller.submit(NODE, seconds=6.0)
    wait_for(lambda: caller.states(running) == {State.RUNNING}, within=30.0)

    shift(fleet.coordinator, by)
    wait_for(lambda: words(fleet, running) == [START, END], within=30.0)
    shift(fleet.coordinator, timedelta(0))
    later = caller.submit()
    caller.wait()

    kinds = {event["kind"] for event in caller.events(running)}
    assert "run.lost" not in kinds
    assert caller.states(running) == caller.states(later) == {State.SUCCEEDED}
    assert violations(caller) == []


def refused(fleet: Fleet) -> bool:
    """Whether some node has said that it refused something as stale."""
    query = [("kind", "node.refused"), ("limit", 500)]
    return any(event["reason"] == "stale" for event in fleet.client().pages("events", query=query))


def words(fleet: Fleet, call: Call) -> list[str]:
    """What the job's marks say, in their order."""
    return [mark.word for mark in read_marks(fleet.marks) if mark.attempt.job == call.job]
