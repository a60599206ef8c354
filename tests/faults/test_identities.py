"""A node's identity appears twice, a node loses power, and a node goes back in time."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from fleetjobs.signing import SigningKey, node_key_id
from fleetjobs.spool.attempts import Holder
from fleetjobs.states import Reason, State
from tests.faults.caller import Call, Caller
from tests.faults.checker import Checker, violations
from tests.faults.fleet import Fleet, at_work
from tests.faults.oracle import END, START, counts, read_marks
from tests.faults.parts import Part
from tests.faults.shares import ONE_STACK
from tests.processes import wait_for

NODE, OTHER = "node1", "node2"
KEPT = ("spool", "seen", "gone")  #: what a node has on its disk
pytestmark = ONE_STACK


@pytest.mark.spec("F4", "S1-31", "T5", "I1", "I3")
def test_a_node_that_reboots_knows_what_was_interrupted_and_does_the_rest(
    fleet: Fleet, caller: Caller
) -> None:
    """All processes are gone, their pids may be others', and the kernel says another boot."""
    running = caller.submit(NODE, seconds=30.0)
    later = caller.submit(NODE, not_before=datetime.now(UTC) + timedelta(seconds=6))
    wait_for(lambda: words(fleet, running) == [START], within=30.0)
    wait_for(lambda: fleet.run_directory(later.job, NODE), within=30.0)
    running.harmed = True

    fleet.worker(NODE).kill()
    queued = caller.submit(NODE)
    reboot(fleet)
    fleet.worker(NODE).start()
    caller.wait()

    assert [run["reason"] for run in caller.runs(running)] == [Reason.INTERRUPTED]
    assert caller.states(later) == caller.states(queued) == {State.SUCCEEDED}
    assert words(fleet, running) == [START]
    assert violations(caller) == []


def reboot(fleet: Fleet) -> None:
    """End all of the node, and have what it wrote be of another boot, by pids that live."""
    ours = os.getpid()
    for run in fleet.spool(NODE).unsettled():
        for holder in at_work(run).values():
            with suppress(ProcessLookupError):
                os.kill(holder.pid, signal.SIGKILL)
        holder, program = run.holder(), run.program()
        if holder is not None:
            run.take_over(Holder(ours, holder.birth, "the boot before"))
        if program is not None:
            before = Holder(ours, program.holder.birth, "the boot before")
            run.announce(msgspec.structs.replace(program, holder=before))


@pytest.mark.spec("F12", "I1", "I3", "I5")
def test_of_two_machines_with_one_identity_one_begins_each_attempt(
    fleet: Fleet, caller: Caller
) -> None:
    """Both take from one queue; what one has told of, the other does not begin."""
    fleet.coordinator.kill()
    patient = {"FLEETJOBS_COORDINATOR_ASK_AFTER_S": "10"}
    before = fleet.coordinator.environment
    fleet.coordinator.environment = {**before, **patient}
    fleet.coordinator.start()

    with twin(fleet):
        calls = [caller.submit(NODE, seconds=0.2) for _ in range(30)]
        caller.wait(*calls)
    fleet.coordinator.environment = before
    fleet.coordinator.restart()

    begun = counts(read_marks(fleet.marks))
    assert {words[START] for words in begun.values()} == {1}
    assert not [line for line in Checker(caller).now() if line.startswith(("I3", "I5", "I1 "))]


@contextmanager
def twin(fleet: Fleet) -> Iterator[Part]:
    """Another machine, set up from a copy of the first one's disk."""
    first = fleet.worker(NODE)
    place = fleet.premises.node(f"{NODE}-twin")
    shutil.copytree(fleet.premises.node(NODE), place)
    for name in KEPT:
        remove(place / name)
    part = Part("twin", first.module, place / "node.toml", place / "log", first.environment)
    part.start()
    wait_for(lambda: "runner host started" in part.log.read_text(), within=60.0)
    try:
        yield part
    finally:
        part.kill()
        shutil.rmtree(place)


@pytest.mark.spec("F12", "G8", "I1", "I3", "I5")
def test_a_machine_set_up_anew_with_another_key_is_not_believed(
    fleet: Fleet, caller: Caller
) -> None:
    """What its forerunner had begun is not begun by it; it is refused until it has its key."""
    running = caller.submit(NODE, seconds=30.0)
    wait_for(lambda: caller.states(running) == {State.RUNNING}, within=30.0)
    running.harmed = True
    key = fleet.premises.node(NODE) / "key.pem"
    right = key.read_bytes()

    fleet.worker(NODE).kill()
    reboot(fleet)
    for name in KEPT:
        remove(fleet.premises.node(NODE) / name)
    key.unlink()
    SigningKey.generate(node_key_id(NODE)).save(key)
    fleet.worker(NODE).start()
    wait_for(lambda: "was rejected" in fleet.coordinator.log.read_text(), within=60.0)
    meanwhile = caller.submit(NODE)
    wait_for(lambda: "machine with another key" in fleet.worker(NODE).log.read_text(), within=60.0)
    believed = caller.states(running), caller.states(meanwhile), words(fleet, meanwhile)
    key.write_bytes(right)
    fleet.worker(NODE).restart()
    caller.wait()

    assert believed[0] <= {State.RUNNING, State.PAUSED}  # lost: on a slow machine it takes its time
    assert believed[1] <= {State.QUEUED, State.WAITING}  # for a node that has beaten, or has not
    assert believed[2] == []
    assert caller.states(meanwhile) == {State.SUCCEEDED}
    assert words(fleet, meanwhile) == [START, END]
    assert [run["reason"] for run in caller.runs(running)] == [Reason.INTERRUPTED]
    assert words(fleet, running) == [START]
    assert violations(caller) == []


@pytest.mark.spec("F12", "I1", "I2", "I3", "T5")
def test_a_node_that_is_set_back_to_an_older_disk_begins_nothing_again(
    fleet: Fleet, caller: Caller, tmp_path: Path
) -> None:
    """Of what ended, ran and was waiting in between, the fleet knows more than the node does."""
    before = caller.submit(NODE)
    caller.wait(before)
    old = tmp_path / "old"
    fleet.worker(NODE).kill()
    copy(fleet, old)
    fleet.worker(NODE).start()

    ended = caller.submit(NODE)
    caller.wait(ended)
    running = caller.submit(NODE, seconds=30.0)
    wait_for(lambda: caller.states(running) == {State.RUNNING}, within=30.0)
    running.harmed = True
    fleet.worker(NODE).kill()
    reboot(fleet)
    for name in KEPT:
        remove(fleet.premises.node(NODE) / name)
        if (old / name).exists():
            (old / name).rename(fleet.premises.node(NODE) / name)
    fleet.worker(NODE).start()
    caller.wait()

    assert [words(fleet, call) for call in (before, ended)] == [[START, END]] * 2
    assert words(fleet, running) == [START]
    assert [run["reason"] for run in caller.runs(running)] == [Reason.INTERRUPTED]
    assert violations(caller) == []


def copy(fleet: Fleet, place: Path) -> None:
    """As a snapshot of the machine would have it."""
    place.mkdir()
    for name in KEPT:
        found = fleet.premises.node(NODE) / name
        if found.is_dir():
            shutil.copytree(found, place / name, ignore=shutil.ignore_patterns("*.pipe"))
        elif found.exists():
            shutil.copy2(found, place / name)


def remove(path: Path) -> None:
    """A file, or a directory with all that is in it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def words(fleet: Fleet, call: Call) -> list[str]:
    """What the job's marks say, in their order."""
    return [mark.word for mark in read_marks(fleet.marks) if mark.attempt.job == call.job]
