"""Versions are mixed: what runs goes on under the next worker, what is not understood is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from fleetjobs.documents import encode
from fleetjobs.messages import Reply, Stage
from fleetjobs.states import State
from tests.faults.caller import Call, Caller
from tests.faults.checker import violations
from tests.faults.fleet import Fleet
from tests.faults.forger import Forger
from tests.faults.oracle import END, START, read_marks
from tests.faults.parts import Part
from tests.faults.shares import ONE_STACK
from tests.faults.versioned import PROGRAM, VERSION
from tests.processes import wait_for

NODE = "node1"
NEXT = 2  #: the version of the protocol that we do not speak yet
pytestmark = ONE_STACK


@pytest.mark.spec("F14", "S0-10", "S4-26", "G4", "I1", "I2", "I3")
def test_what_runs_goes_on_when_its_worker_is_restarted_into_another_version(
    fleet: Fleet, caller: Caller
) -> None:
    """One runs, one waits in the queue; the fleet knows which version is there."""
    running = caller.submit(NODE, seconds=3.0)
    wait_for(lambda: words(fleet, running) == [START], within=30.0)

    fleet.worker(NODE).stop()
    queued = caller.submit(NODE)
    with other_version(fleet.worker(NODE), "99.0") as worker:
        worker.start()
        wait_for(lambda: fleet.client().node(NODE)["software"] == "99.0", within=30.0)
        caller.wait()
        later = caller.submit(NODE)
        caller.wait(later)
        fleet.worker(NODE).stop()
    fleet.worker(NODE).start()

    assert [caller.states(call) for call in (running, queued, later)] == [{State.SUCCEEDED}] * 3
    assert words(fleet, running) == [START, END]
    assert violations(caller) == []


@pytest.mark.spec("F14", "S0-10", "G4", "I1", "I2", "I3")
def test_a_worker_that_is_replaced_by_the_job_it_runs_tells_of_its_end(
    fleet: Fleet, caller: Caller, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    worker = fleet.worker(NODE)

    call = caller.ask_stubborn("replace", NODE, go=str(go))
    worker.bury()
    meanwhile = caller.submit(NODE)
    worker.start()
    caller.wait(meanwhile)
    go.touch()
    caller.wait(call)

    assert caller.states(call) == caller.states(meanwhile) == {State.SUCCEEDED}
    assert words(fleet, call) == [START, END]
    assert violations(caller) == []


@pytest.mark.spec("F14", "G2", "I1", "I3")
def test_a_delivery_in_the_next_version_is_refused_in_writing_and_its_run_not_lost(
    fleet: Fleet, caller: Caller
) -> None:
    """As a coordinator would send it that was upgraded before the node, and then taken back."""
    forger = Forger(fleet)
    fleet.coordinator.kill()
    call = caller.submit(NODE)
    letter = forger.letter(NODE).change_delivery(version=NEXT, job=call.job)

    sha256 = forger.post(NODE, letter.seal()[0], call.sealed)
    fleet.coordinator.start()
    caller.wait(call)
    wait_for(lambda: sha256 in refused(fleet), within=30.0)

    assert "version 2 is not understood" in refused(fleet)[sha256]
    assert caller.states(call) == {State.SUCCEEDED}
    assert words(fleet, call) == [START, END]
    assert violations(caller) == []


@pytest.mark.spec("F14", "G2", "I1", "I2")
def test_a_reply_in_the_next_version_is_on_record_and_the_run_is_asked_after(
    fleet: Fleet, caller: Caller
) -> None:
    forger = Forger(fleet)
    call = caller.submit(NODE, seconds=1.0)
    strange = Reply(job=call.job, node=NODE, attempt=1, stage=Stage.FINISHED, state=State.FAILED)

    forger.reply(forger.node_key(NODE).seal(encode(replace(strange, version=NEXT))))
    caller.wait(call)

    assert "version 2 is not understood" in fleet.coordinator.log.read_text()
    assert caller.states(call) == {State.SUCCEEDED}
    assert violations(caller) == []


@contextmanager
def other_version(part: Part, version: str) -> Iterator[Part]:
    """The part, to be started as if another version of it were installed."""
    before = part.module, part.environment
    program = part.module.rpartition(".")[2]
    part.environment = {**part.environment, PROGRAM: program, VERSION: version}
    part.module = "tests.faults.versioned"
    yield part
    part.module, part.environment = before


def refused(fleet: Fleet) -> dict[str, str]:
    """Why nodes refused what, by its SHA-256."""
    query = [("kind", "node.refused"), ("limit", 500)]
    events = fleet.client().pages("events", query=query)
    return {event["detail"]["sha256"]: str(event["detail"]) for event in events}


def words(fleet: Fleet, call: Call) -> list[str]:
    """What the job's marks say, in their order."""
    return [mark.word for mark in read_marks(fleet.marks) if mark.attempt.job == call.job]
