"""An installation moves to another database while jobs are to come: each of them runs once."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleetjobs.names import JobId
from fleetjobs.states import State
from fleetjobs.store.database import Database
from fleetjobs.store.jobs import get_job
from tests.faults.caller import Caller
from tests.faults.checker import violations
from tests.faults.fleet import Fleet
from tests.faults.shares import ONE_STACK
from tests.processes import wait_for

NODE, OTHER = "node1", "node2"


def fj(fleet: Fleet, *args: str, database: str | None = None) -> str:
    """A command line beside the server, on that database; what it printed."""
    argv = [sys.executable, "-m", "fleetjobs.cli.start", *args]
    environment = {**os.environ, **fleet.server.environment}
    if database is not None:
        environment["FLEETJOBS_SERVER_DATABASE"] = database
    done = subprocess.run(
        [*argv, "--config", str(fleet.server.settings)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@ONE_STACK
@pytest.mark.long
@pytest.mark.spec("S1-02", "I3")
def test_what_is_to_come_runs_once_though_its_installation_moves(
    fleet: Fleet, caller: Caller, tmp_path: Path
) -> None:
    """One lies on its node, one was not handed over; afterwards both installations are at work."""
    soon = datetime.now(UTC) + timedelta(seconds=15)
    lying = caller.submit(NODE, not_before=soon)
    wait_for(lambda: fleet.run_directory(lying.job, NODE), within=30.0)
    fleet.worker(OTHER).kill()
    fleet.coordinator.kill()
    kept = caller.submit(OTHER, not_before=soon)
    url = f"sqlite:///{tmp_path}/new.sqlite"

    (tmp_path / "d.json").write_text(fj(fleet, "export", "--all", "--move"))
    fj(fleet, "import", str(tmp_path / "d.json"), database=url)
    told = {**fleet.coordinator.environment, "FLEETJOBS_COORDINATOR_DATABASE": url}
    new = dataclasses.replace(fleet.coordinator, environment=told, process=None)
    new.start()
    fleet.worker(OTHER).start()
    database = Database.open(url)
    try:
        for call in (lying, kept):
            wait_for(succeeded(database, call.job), within=60.0, every=0.1)
    finally:
        database.close()
        new.kill()

    assert [caller.begun(call) for call in (lying, kept)] == [1, 1]
    fleet.coordinator.start()
    fleet.client().transport.post(
        "coordinator", "resume", body=b"{}", content_type="application/json"
    )
    assert violations(caller) == []
    assert [caller.begun(call) for call in (lying, kept)] == [1, 1]


def succeeded(database: Database, job: str) -> Callable[[], bool]:
    def look() -> bool:
        with database.reading() as connection:
            found = get_job(connection, JobId(job), org=None)
        return found is not None and found.state is State.SUCCEEDED

    return look
