"""Two coordinators: one leads, the other follows; while both believe they lead, nothing doubles."""

from collections.abc import Iterator

import pytest

from fleetjobs.broker.connections import connect, durable_queue, node_queue_name
from fleetjobs.states import State
from tests.faults.caller import Call, Caller
from tests.faults.checker import violations
from tests.faults.fleet import Fleet
from tests.faults.leaks import in_queue
from tests.faults.oracle import END, START, read_marks
from tests.faults.parts import Part
from tests.faults.shares import ONE_STACK
from tests.processes import wait_for

NODE = "node1"
LEASE = {"FLEETJOBS_COORDINATOR_LEASE_S": "2"}


@pytest.fixture
def standby(fleet: Fleet) -> Iterator[Part]:
    """Another coordinator; both have short leases."""
    first = fleet.coordinator
    before = first.environment
    first.environment = {**before, **LEASE}
    first.restart()
    wait_for(lambda: leads(fleet, first), within=30.0)
    log = fleet.premises.log("standby")
    second = Part("standby", first.module, first.settings, log, first.environment)
    second.start()
    yield second
    second.resume()
    second.kill()
    first.environment = before
    first.resume()
    first.restart()


@ONE_STACK
@pytest.mark.spec("S1-29", "F6", "F7", "I1", "I2", "I3")
def test_a_standby_leads_when_the_leader_was_killed(
    fleet: Fleet, caller: Caller, standby: Part
) -> None:
    running = caller.submit(NODE, seconds=1.0)
    wait_for(lambda: words(fleet, running) == [START], within=30.0)

    fleet.coordinator.kill()
    wait_for(lambda: leads(fleet, standby), within=30.0)
    later = caller.submit()
    caller.wait()

    assert caller.states(running) == caller.states(later) == {State.SUCCEEDED}
    assert violations(caller) == []


@pytest.mark.timeout(300)
@ONE_STACK
@pytest.mark.spec("S1-29", "F7", "I1", "I2", "I3", "I10")
def test_a_leader_that_sleeps_past_its_lease_and_wakes_up_repeats_nothing(
    fleet: Fleet, caller: Caller, standby: Part
) -> None:
    """It wakes up in the middle of its work, and believes that it still leads."""
    caller.wait(caller.submit())
    fleet.coordinator.pause()
    meanwhile = [caller.submit(seconds=0.2) for _ in range(5)]
    wait_for(lambda: leads(fleet, standby), within=30.0)
    caller.wait(*meanwhile, within=150.0)  # RabbitMQ gives up the sleeper after 60 to 90 seconds

    late = [caller.submit(seconds=0.2) for _ in range(5)]
    fleet.coordinator.resume()
    both = [caller.submit(seconds=0.2) for _ in range(5)]
    caller.wait()

    for call in (*meanwhile, *late, *both):
        assert caller.states(call) == {State.SUCCEEDED}
        assert sorted(words(fleet, call)) == [END, END, START, START]
    assert violations(caller) == []


@pytest.mark.spec("S4-25", "G3", "F8", "I1", "I3")
def test_a_message_that_vanished_from_the_broker_is_sent_again_and_runs_once(
    fleet: Fleet, caller: Caller
) -> None:
    fleet.worker(NODE).kill()
    calls = [caller.submit(NODE) for _ in range(3)]
    for call in calls:
        wait_for(lambda call=call: caller.states(call) == {State.QUEUED}, within=30.0)

    lose_messages(fleet)
    fleet.worker(NODE).start()
    caller.wait()

    assert [caller.states(call) for call in calls] == [{State.SUCCEEDED}] * 3
    assert [words(fleet, call) for call in calls] == [[START, END]] * 3
    assert violations(caller) == []


def lose_messages(fleet: Fleet) -> None:
    """All that wait for the node."""
    with connect(fleet.broker_url) as connection:
        queue = durable_queue(node_queue_name(NODE), fleet.broker_url)
        queue.bind(connection.default_channel).purge()
    assert in_queue(fleet.broker_url, NODE) == 0


def leads(fleet: Fleet, part: Part) -> bool:
    """Whether that coordinator has told the log that it leads."""
    document = fleet.client().transport.get("status")
    return str(document["coordinator"].get("holder", "")).endswith(f":{part.pid}")


def words(fleet: Fleet, call: Call) -> list[str]:
    """What the job's marks say, in their order."""
    return [mark.word for mark in read_marks(fleet.marks) if mark.attempt.job == call.job]
