"""Broker and database are killed, emptied and locked: work waits, and then is done once."""

import pytest

from fleetjobs.broker.connections import REPLIES, connect, loose_queue
from fleetjobs.states import State
from tests.faults.caller import Call, Caller
from tests.faults.checker import violations
from tests.faults.fleet import Fleet
from tests.faults.locking import locked
from tests.faults.oracle import END, START, read_marks
from tests.faults.wiping import lose_disk
from tests.processes import wait_for

NODE = "node1"


@pytest.mark.spec("G1", "G2", "G4", "F8", "S1-01", "S4-03", "S4-29", "I1", "I2", "I3")
def test_a_broker_that_is_killed_at_work_delays_and_loses_nothing(
    fleet: Fleet, caller: Caller
) -> None:
    """Some runs are at work, some queued behind a dead worker, some not yet handed over."""
    queued = behind_a_dead_worker(fleet, caller)
    running = caller.submit("node2", seconds=1.0)
    wait_for(lambda: words(fleet, running) == [START], within=30.0)

    fleet.broker.kill()
    accepted = caller.submit()
    wait_for(lambda: words(fleet, running) == [START, END], within=30.0)
    fleet.broker.start()
    fleet.worker(NODE).start()
    caller.wait()

    for call in (queued, running, accepted):
        assert caller.states(call) == {State.SUCCEEDED}
    assert violations(caller) == []


@pytest.mark.spec("G2", "G4", "F8", "S4-25", "S4-29", "I1", "I2", "I3")
def test_a_broker_that_loses_its_disk_loses_us_nothing(fleet: Fleet, caller: Caller) -> None:
    """Requests in the node's queue and replies in the coordinator's are gone: nodes are asked."""
    ended = caller.submit("node2", seconds=1.0)
    wait_for(lambda: words(fleet, ended) == [START], within=30.0)
    queued = behind_a_dead_worker(fleet, caller)
    fleet.coordinator.kill()
    wait_for(lambda: sent(fleet, ended), within=30.0)

    lose_disk(fleet.broker)
    fleet.coordinator.start()
    fleet.worker(NODE).start()
    caller.wait()

    assert caller.states(ended) == caller.states(queued) == {State.SUCCEEDED}
    assert violations(caller) == []


@pytest.mark.spec("G2", "F8", "S4-29", "I1", "I2", "I3")
@pytest.mark.parametrize("fleet", ["rabbit-postgres"], indirect=True)
def test_queries_and_answers_that_a_killed_broker_kept_in_memory_are_asked_for_again(
    fleet: Fleet, caller: Caller
) -> None:
    """Of one node the delivery is lost, of the other one the reply."""
    for node in fleet.nodes:
        fleet.worker(node).kill()
    call = caller.ask_inline()
    wait_for(lambda: caller.states(call) == {State.QUEUED}, within=30.0)
    fleet.coordinator.kill()
    fleet.worker("node2").start()
    seen = fleet.premises.node("node2") / "seen"
    wait_for(lambda: call.job in seen.read_text(), within=30.0)
    said = unheard(fleet)
    wait_for(lambda: unheard(fleet) > said + 1, within=30.0)  # the reply, and a beat behind it

    fleet.broker.kill()
    fleet.broker.start()
    fleet.coordinator.start()
    fleet.worker(NODE).start()
    caller.wait()

    assert caller.states(call) == {State.SUCCEEDED}
    assert violations(caller) == []


@pytest.mark.spec("F8", "I1", "I2")
def test_a_broker_without_its_queues_is_used_again_by_all_who_were_connected(
    fleet: Fleet, caller: Caller
) -> None:
    """Nobody was restarted but the broker: everybody declares the queues anew."""
    caller.wait(caller.submit())

    lose_disk(fleet.broker)
    call = caller.submit()
    caller.wait(call)

    assert caller.states(call) == {State.SUCCEEDED}
    assert violations(caller) == []


@pytest.mark.spec("F9", "I1", "I2", "I3")
@pytest.mark.parametrize("fleet", ["rabbit-postgres"], indirect=True)
def test_a_database_that_is_killed_at_work_delays_and_loses_nothing(
    fleet: Fleet, caller: Caller
) -> None:
    database = fleet.database
    assert database is not None
    running = caller.submit(seconds=0.5)
    wait_for(lambda: START in words(fleet, running), within=30.0)

    database.kill()
    unheard = caller.ask()
    wait_for(lambda: words(fleet, running).count(END) == 2, within=30.0)
    database.start()
    caller.insist()
    caller.wait()

    assert not unheard.nodes or caller.states(unheard) == {State.SUCCEEDED}
    assert caller.states(running) == {State.SUCCEEDED}
    assert violations(caller) == []


@pytest.mark.spec("F9", "I1", "I4")
@pytest.mark.parametrize("fleet", ["rabbit-postgres"], indirect=True)
def test_without_a_database_nothing_is_accepted(fleet: Fleet, caller: Caller) -> None:
    database = fleet.database
    assert database is not None

    database.kill()
    call = caller.ask()

    assert not call.accepted
    database.start()
    assert violations(caller) == []


@pytest.mark.spec("F9", "I1", "I2")
def test_a_database_that_others_have_locked_is_waited_for(fleet: Fleet, caller: Caller) -> None:
    """Jobs end meanwhile, and their replies are kept by node or broker until they can be noted."""
    calls = [caller.submit(seconds=seconds) for seconds in (0.5, 1.0, 1.5)]
    wait_for(lambda: START in words(fleet, calls[-1]), within=30.0)

    with locked(fleet):
        wait_for(lambda: all(words(fleet, call).count(END) == 2 for call in calls), within=30.0)
    caller.wait()

    assert [caller.states(call) for call in calls] == [{State.SUCCEEDED}] * 3
    assert violations(caller) == []


@pytest.mark.spec("F13", "I1", "I12")
def test_a_herd_of_workers_with_work_for_all_of_them_comes_back(
    fleet: Fleet, caller: Caller
) -> None:
    for node in fleet.nodes:
        fleet.worker(node).kill()
    calls = [caller.submit() for _ in range(50)]

    fleet.heal()
    caller.wait()

    assert [caller.states(call) for call in calls] == [{State.SUCCEEDED}] * 50
    assert violations(caller) == []


@pytest.mark.spec("F8", "F9", "I12")
def test_a_broker_that_holds_still_is_waited_for(fleet: Fleet, caller: Caller) -> None:
    """Its connections stay open and nobody answers: the worst way to be away."""
    running = caller.submit("node2", seconds=1.0)
    wait_for(lambda: words(fleet, running) == [START], within=30.0)

    fleet.broker.pause()
    call = caller.submit()
    wait_for(lambda: words(fleet, running) == [START, END], within=30.0)
    fleet.broker.resume()
    caller.wait()

    assert caller.states(running) == caller.states(call) == {State.SUCCEEDED}
    assert violations(caller) == []


def behind_a_dead_worker(fleet: Fleet, caller: Caller) -> Call:
    """A job that the broker holds for a node."""
    fleet.worker(NODE).kill()
    call = caller.submit(NODE)
    wait_for(lambda: caller.states(call) == {"queued"}, within=30.0)
    return call


def unheard(fleet: Fleet) -> int:
    """How many loose messages of nodes the broker holds."""
    with connect(fleet.broker_url) as connection:
        queue = loose_queue(REPLIES).bind(connection.default_channel)
        return int(queue.queue_declare(passive=True).message_count)


def words(fleet: Fleet, call: Call) -> list[str]:
    """What the job's marks say, in their order."""
    return [mark.word for mark in read_marks(fleet.marks) if mark.attempt.job == call.job]


def sent(fleet: Fleet, call: Call) -> bool:
    """Whether the broker has all replies of the job's nodes."""
    runs = [fleet.run_directory(call.job, node) for node in call.nodes]
    return all(run and (run.path / "final").exists() for run in runs)
