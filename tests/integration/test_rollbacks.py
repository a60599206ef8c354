"""A plan on a real fleet goes back, and its coordinator's death does not turn it round."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from fleetjobs.client.fleet import Fleet
from fleetjobs.declarations import Undo
from fleetjobs.plans.documents import Leg, Need, OnFailure, Plan
from tests.fleets import up
from tests.processes import wait_for

pytestmark = pytest.mark.timeout(200)
PATIENT = 90.0


@pytest.mark.spec("S4-11")
def test_a_killed_coordinator_goes_on_rolling_back(tmp_path: Path) -> None:
    text = {"text": "x"}
    quick, slow = Undo(action="echo", data=text), Undo(action="sleep", data={"seconds": 2})
    first, second = Need(leg="first"), Need(leg="second")
    chain = (
        Leg(key="first", agent="demo", action="echo", data=text, undo=quick),
        Leg(key="second", agent="demo", action="echo", data=text, undo=slow, needs=(first,)),
        Leg(key="third", agent="demo", action="fail", needs=(second,)),
    )
    with up(tmp_path, "--nodes=1") as process:
        fleet = Fleet.connect(tmp_path / "client.toml")
        plan = fleet.submit(Plan(legs=chain, on_failure=OnFailure.ROLLBACK))
        wait_for(lambda: fleet.job(plan.id)["state"] == "reverting", within=PATIENT)

        kill_coordinator(psutil.Process(process.pid))

        wait_for(lambda: fleet.job(plan.id)["state"] == "failed", within=PATIENT)
        assert fleet.job(plan.id)["rollback"] == "done"
        states = {leg["key"]: leg["state"] for leg in fleet.legs(plan.id)}
        assert (states["undo:first"], states["undo:second"]) == ("succeeded", "succeeded")
        kinds = [one["kind"] for one in fleet.events(plan.id) if one["job"] == plan.id]
        assert kinds.index("job.reverting") > kinds.index("job.running")
        assert "job.running" not in kinds[kinds.index("job.reverting") :]


def kill_coordinator(process: psutil.Process) -> None:
    """Kill it; the fleet starts another."""
    (found,) = [
        part
        for part in process.children()
        if any("programs.coordinator" in word for word in part.cmdline())
    ]
    os.kill(found.pid, signal.SIGKILL)
    wait_for(lambda: not found.is_running() or found.status() == psutil.STATUS_ZOMBIE)
