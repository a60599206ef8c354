"""What is due soon lies on the node already: at its time it starts, whoever else is down."""

from datetime import UTC, datetime, timedelta

import pytest

from fleetjobs.states import State
from tests.faults.caller import Caller
from tests.faults.checker import violations
from tests.faults.fleet import Fleet
from tests.faults.oracle import END, START, read_marks
from tests.faults.shares import ONE_STACK
from tests.processes import wait_for

NODE = "node1"
SOON = timedelta(seconds=15)


@pytest.mark.slow
@ONE_STACK
@pytest.mark.spec("G5", "F8", "I1", "I2")
@pytest.mark.parametrize("worker_too", [False, True], ids=["desk and broker", "the worker as well"])
def test_a_job_starts_at_its_time_though_all_others_are_down(
    fleet: Fleet, caller: Caller, *, worker_too: bool
) -> None:
    """And not before; with the worker killed meanwhile, and started again without a broker."""
    due_at = datetime.now(UTC) + SOON
    call = caller.submit(NODE, not_before=due_at)
    wait_for(lambda: fleet.run_directory(call.job, NODE) is not None, within=SOON.total_seconds())

    for part in (fleet.coordinator, fleet.server):
        part.kill()
    fleet.broker.kill()
    if worker_too:
        fleet.worker(NODE).kill()
        fleet.worker(NODE).start()
    assert datetime.now(UTC) < due_at
    assert read_marks(fleet.marks) == []
    wait_for(lambda: [mark.word for mark in read_marks(fleet.marks)] == [START, END], within=30.0)

    run = fleet.run_directory(call.job, NODE)
    assert run is not None
    started_at = run.started_at()
    assert started_at is not None
    assert started_at >= due_at
    fleet.broker.start()
    fleet.server.start()
    fleet.coordinator.start()
    caller.wait(call)
    assert caller.states(call) == {State.SUCCEEDED}
    assert violations(caller) == []
