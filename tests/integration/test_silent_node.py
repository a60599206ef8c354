"""Thirty nodes answer; one that is away is answered for when it is back, and holds up nobody."""

import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from fleetjobs.client.fleet import Fleet
from fleetjobs.client.jobs import Job
from fleetjobs.client.rpc import rpcclient
from fleetjobs.states import State
from tests.fleets import up
from tests.processes import wait_for

NODES = 30
AWAY = "node17"


@pytest.mark.slow
@pytest.mark.spec("G6")
@pytest.mark.parametrize("kind", ["embedded", "rabbit and postgres"])
def test_a_silent_node_is_answered_for_when_it_is_back(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    options = [f"--nodes={NODES}"]
    if kind != "embedded":
        options += ["--broker", request.getfixturevalue("rabbit_url")]
        options += ["--database", request.getfixturevalue("postgres_url")]
    with up(tmp_path, *options) as process:
        fleet = Fleet.connect(tmp_path / "client.toml")
        ping = rpcclient("rpcutil", fleet=fleet)
        assert len({reply.sender for reply in ping.ping() if reply.is_ok}) == NODES

        worker = worker_of(process.pid, tmp_path, AWAY)
        worker.send_signal(signal.SIGSTOP)
        job = ping.submit("ping")
        wait_for(ended(fleet, job, NODES - 1), within=30)
        wait_for(lambda: fleet.run(job.id, AWAY)["state"] == State.QUEUED, within=10)

        worker.send_signal(signal.SIGCONT)
        wait_for(ended(fleet, job, NODES), within=30)
        assert fleet.job(job.id)["state"] == State.SUCCEEDED


def ended(fleet: Fleet, job: Job, count: int) -> Callable[[], bool]:
    """Whether that many runs of the job have succeeded."""
    return lambda: fleet.job(job.id)["tally"].get(State.SUCCEEDED) == count


def worker_of(up_pid: int, state: Path, node: str) -> psutil.Process:
    """The worker of a node: the nursery's child that writes to the node's log."""
    log = str(state / "logs" / f"{node}.log")
    for process in psutil.Process(up_pid).children(recursive=True):
        is_worker = "nursery" in " ".join(process.cmdline())
        if is_worker and any(file.path == log for file in process.open_files()):
            return process
    raise AssertionError(f"no worker writes to {log}")
