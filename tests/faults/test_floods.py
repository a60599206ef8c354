"""Output is huge: it is counted, its beginning kept, and nobody who carries it needs memory."""

import contextlib

import psutil
import pytest

from fleetjobs.client.exchange import Answer, Connection
from fleetjobs.node.streams import SENT_BYTES
from fleetjobs.states import State
from tests.faults.caller import Call, Caller
from tests.faults.checker import violations
from tests.faults.fleet import RUNNER, Fleet, at_work
from tests.faults.oracle import START, read_marks
from tests.faults.shares import ONE_STACK
from tests.processes import wait_for

NODE = "node1"
MB = 1024 * 1024
MORE_MOST = 48 * MB  #: by which a program may grow on the way of an output
pytestmark = ONE_STACK


@pytest.mark.spec("F15", "I1", "I2")
@pytest.mark.parametrize(
    ("megabytes", "width"),
    [
        pytest.param(100, 0, id="one line of 100 MB, no text"),
        pytest.param(100, 64, id="1.6 million lines"),
        pytest.param(1024, 0, id="1 GB", marks=pytest.mark.long),
    ],
)
def test_a_flood_is_counted_and_its_beginning_kept_in_little_memory(
    fleet: Fleet, caller: Caller, megabytes: int, width: int
) -> None:
    """Of both streams at once; a reader of the log that never reads on is in nobody's way."""
    before = {name: memory(part.pid) for name, part in fleet.parts.items()}

    call = caller.ask_stubborn("flood", NODE, megabytes=megabytes, width=width)
    wait_for(lambda: words(fleet, call) == [START], within=30.0)
    _, reader = slow_reader(fleet, call)
    peak = watch(fleet, call)
    caller.wait(call)
    reader.close()

    grown = {name: memory(part.pid) - before[name] for name, part in fleet.parts.items()}
    assert 0 < peak < 64 * MB
    assert {name: growth for name, growth in grown.items() if growth > MORE_MOST} == {}
    [run] = caller.runs(call)
    assert run["state"] == State.SUCCEEDED
    for stream in ("stdout", "stderr"):
        assert run["logs"][stream]["size"] == written(megabytes, width)
        kept, _ = fleet.client().log(call.job, NODE, stream)
        assert kept == first_bytes(fleet, call, stream)
    assert violations(caller) == []


def slow_reader(fleet: Fleet, call: Call) -> tuple[Answer, Connection]:
    """Who follows the log and does not read it."""
    path = ("jobs", call.job, "runs", NODE, "logs", "stdout")
    return fleet.client().transport.stream(*path, query=[("follow", "true")])


def written(megabytes: int, width: int) -> int:
    """Bytes, by the agent's own count."""
    return megabytes * (MB // width * width if width else MB)


def first_bytes(fleet: Fleet, call: Call, stream: str) -> bytes:
    """What the node has, as far as it is sent."""
    run = fleet.run_directory(call.job, NODE)
    assert run is not None
    with (run.path / stream).open("rb") as file:
        return file.read(SENT_BYTES)


def watch(fleet: Fleet, call: Call) -> int:
    """The most memory that the runner had while it was at work; bytes."""
    peak = 0

    def is_over() -> bool:
        nonlocal peak
        run = fleet.run_directory(call.job, NODE)
        runner = at_work(run).get(RUNNER) if run else None
        if runner is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                peak = max(peak, memory(runner.pid))
        return run is not None and run.is_settled

    wait_for(is_over, within=110.0)
    return peak


def memory(pid: int) -> int:
    """What it has of its own; bytes."""
    return int(psutil.Process(pid).memory_full_info().uss)


def words(fleet: Fleet, call: Call) -> list[str]:
    """What the job's marks say, in their order."""
    return [mark.word for mark in read_marks(fleet.marks) if mark.attempt.job == call.job]
