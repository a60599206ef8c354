"""The network parts, one way or both, delays, breaks, doubles and reorders: work waits, once."""

from random import Random

import pytest

from fleetjobs.broker.connections import REPLIES, node_queue_name
from fleetjobs.states import State
from tests.faults.caller import Call, Caller
from tests.faults.checker import violations
from tests.faults.fleet import Fleet
from tests.faults.leaks import in_queue
from tests.faults.mixing import mix
from tests.faults.oracle import END, START, read_marks
from tests.faults.wires import BOTH, Way
from tests.processes import wait_for

NODE, OTHER = "node1", "node2"


@pytest.mark.spec("G2", "G4", "F10", "I1", "I2", "I3", "I12")
@pytest.mark.parametrize("ways", [BOTH, {Way.TO}, {Way.FROM}], ids=["both", "to", "from"])
def test_a_node_that_is_parted_goes_on_and_is_heard_afterwards(
    fleet: Fleet, caller: Caller, ways: frozenset[Way]
) -> None:
    """The other half of the fleet does not wait for it."""
    running = started(fleet, caller, seconds=1.0)

    fleet.wire(NODE).hold(*ways)
    beyond, here = caller.submit(NODE), caller.submit(OTHER)
    wait_for(lambda: words(fleet, running) == [START, END], within=30.0)
    caller.wait(here)
    fleet.wire(NODE).heal()
    caller.wait()

    for call in (running, beyond, here):
        assert caller.states(call) == {State.SUCCEEDED}
        assert words(fleet, call) == [START, END]
    assert violations(caller) == []


@pytest.mark.spec("G2", "G4", "F8", "F10", "I1", "I2", "I3", "I12")
@pytest.mark.parametrize("ways", [BOTH, {Way.FROM}], ids=["both", "confirms only"])
def test_a_coordinator_that_is_parted_from_the_broker_repeats_nothing(
    fleet: Fleet, caller: Caller, ways: frozenset[Way]
) -> None:
    """If only what the broker says is lost, all is delivered and nothing confirmed."""
    running = started(fleet, caller, seconds=1.0)

    fleet.wire("coordinator").hold(*ways)
    calls = [running, *(caller.submit() for _ in range(5))]
    wait_for(lambda: words(fleet, running) == [START, END], within=30.0)
    fleet.wire("coordinator").heal()
    caller.wait()

    assert [caller.states(call) for call in calls] == [{State.SUCCEEDED}] * 6
    assert violations(caller) == []


@pytest.mark.spec("F9", "F10", "I1", "I2", "I3", "I12")
@pytest.mark.parametrize("fleet", ["rabbit-postgres"], indirect=True)
@pytest.mark.parametrize("part", ["coordinator", "server"])
def test_a_program_that_is_parted_from_the_database_goes_on_when_that_is_back(
    fleet: Fleet, caller: Caller, part: str
) -> None:
    running = started(fleet, caller, seconds=1.0)

    fleet.wire(part, "database").hold()
    wait_for(lambda: words(fleet, running) == [START, END], within=30.0)
    fleet.wire(part, "database").heal()
    later = caller.submit()
    caller.wait()

    assert caller.states(running) == caller.states(later) == {State.SUCCEEDED}
    assert violations(caller) == []


@pytest.mark.spec("G1", "F9", "I1", "I3")
@pytest.mark.parametrize("fleet", ["rabbit-postgres"], indirect=True)
def test_a_job_whose_commit_was_done_and_never_answered_is_one_job(
    fleet: Fleet, caller: Caller
) -> None:
    """Who submits hears of an error, asks again in the same words, and is told of that job."""
    wire = fleet.wire("server", "database")
    wire.lose_answer(b"COMMIT")

    call = caller.ask()
    unheard = not call.accepted
    caller.insist()
    caller.wait(call)

    assert wire.answers_lost == 1
    assert unheard
    assert caller.states(call) == {State.SUCCEEDED}
    assert violations(caller) == []


@pytest.mark.spec("F9", "I1", "I2", "I3")
@pytest.mark.parametrize("fleet", ["rabbit-postgres"], indirect=True)
def test_what_the_coordinator_committed_without_an_answer_counts_once(
    fleet: Fleet, caller: Caller
) -> None:
    """Whether it was handing over, or taking replies: it does so again."""
    wire = fleet.wire("coordinator", "database")

    for number in range(1, 6):
        wire.lose_answer(b"COMMIT")
        caller.submit()
        wait_for(lambda number=number: wire.answers_lost == number, within=30.0)
    caller.wait()

    assert violations(caller) == []


@pytest.mark.spec("F10", "I1", "I2", "I3", "I12")
def test_connections_that_break_and_are_refused_are_made_again(
    fleet: Fleet, caller: Caller
) -> None:
    running = started(fleet, caller, seconds=1.0)

    for part in (NODE, "coordinator"):
        fleet.wire(part).cut()
    calls = [running, *(caller.submit() for _ in range(3))]
    wait_for(lambda: words(fleet, running) == [START, END], within=30.0)
    fleet.wires.heal()
    caller.wait()

    assert [caller.states(call) for call in calls] == [{State.SUCCEEDED}] * 4
    assert violations(caller) == []


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.spec("F10", "I1", "I2", "I3", "I12")
@pytest.mark.parametrize(("delay_s", "loss"), [(2.0, 0.0), (0.0, 0.01), (0.1, 0.02)])
def test_on_a_slow_or_breaking_network_all_is_done_and_once(
    fleet: Fleet, caller: Caller, delay_s: float, loss: float
) -> None:
    """Two seconds each way; connections that end at every hundredth or fiftieth chunk.

    By Redis a message takes some twenty round trips, one after the other: a quarter is enough.
    To accept a job takes seven or eight of the database, hence so few; what two seconds keep from
    its end for minutes ends once they are gone.
    """
    for wire in fleet.wires.all():
        wire.slow(delay_s if fleet.database else min(delay_s, 0.25), loss)

    calls = [caller.ask(seconds=0.1) for _ in range(3)]
    if delay_s < 1 or not fleet.database:
        wait_for(lambda: any(map(caller.has_ended, calls)), within=300.0, every=0.5)
    fleet.wires.heal()
    caller.wait()

    assert violations(caller) == []
    assert [caller.states(call) for call in calls] == [{State.SUCCEEDED}] * 3


@pytest.mark.spec("F10", "F17", "G3", "I1", "I2", "I3", "I9")
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_what_comes_doubled_and_in_any_order_means_what_was_said_last(
    fleet: Fleet, caller: Caller, seed: int
) -> None:
    """Deliveries, edits, holds and cancels in the node's queue; then replies in the other one.

    An order that comes behind its delivery may find that the run has begun.
    """
    dice = Random(seed)  # noqa: S311  no secret, a die
    fleet.worker(NODE).kill()
    calls = [handed_over(caller) for _ in range(12)]
    for number, call in enumerate(calls):
        wish = [caller.cancel, caller.hold, lambda call: caller.edit(call, "new"), None][number % 4]
        if wish:
            wish(call)
    wait_for(lambda: in_queue(fleet.broker_url, NODE) >= 12 + 9, within=30.0)
    mix(fleet.broker_url, node_queue_name(NODE), dice)

    fleet.worker(NODE).start()
    caller.wait(*[call for call in calls if not call.held])
    caller.release_all()
    fleet.coordinator.kill()
    fleet.worker(NODE).restart()
    wait_for(lambda: mix(fleet.broker_url, REPLIES, dice), within=30.0)
    fleet.coordinator.start()
    caller.wait()

    for call in calls:
        begun = words(fleet, call)
        assert caller.states(call) == {State.SUCCEEDED if END in begun else State.CANCELLED}
        assert begun == [START, END] or call.called_off
    assert violations(caller) == []


def handed_over(caller: Caller) -> Call:
    """A job that lies in its node's queue: in a message of its own, as it went there alone."""
    call = caller.submit(NODE)
    wait_for(lambda: caller.states(call) == {State.QUEUED}, within=30.0)
    return call


def started(fleet: Fleet, caller: Caller, seconds: float) -> Call:
    """A job whose program is at work."""
    call = caller.submit(NODE, seconds=seconds)
    wait_for(lambda: words(fleet, call), within=30.0)
    return call


def words(fleet: Fleet, call: Call) -> list[str]:
    """What the job's marks say, in their order."""
    return [mark.word for mark in read_marks(fleet.marks) if mark.attempt.job == call.job]
