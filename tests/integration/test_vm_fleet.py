"""Machines of a fleet: they are no business of the programs that made them."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fleetjobs.client.rpc import RpcClient, rpcclient
from tests.fleets import up
from tests.guest import GuestFiles
from tests.processes import wait_for
from tests.vm_fleet import VmFleet, vm_fleet

pytestmark = pytest.mark.timeout(400)
PATIENT = 120  #: seconds that a guest may take on a busy machine


@pytest.fixture
def fleet(tmp_path: Path, guest_files: GuestFiles) -> Iterator[VmFleet]:
    with vm_fleet(tmp_path, ["node1"], guest_files) as fleet:
        yield fleet


def test_a_guest_outlives_the_worker_and_the_fleet_that_started_it(
    fleet: VmFleet, guest_files: GuestFiles
) -> None:
    params = fleet.params("db", guest_files)
    with up(fleet.state, "--nodes=1") as process:
        vm = rpcclient("vm", config=fleet.state / "client.toml")
        assert ask(vm, "make_volume", name="db", size_mib=params["size_mib"])["made"]
        config = {key: params[key] for key in ("memory_mib", "kernel", "initrd", "append")}
        ask(vm, "make_config", name="db", volume="db", **config)
        ask(vm, "write_image", volume="db", image=params["image"])
        started = ask(vm, "start", name="db", expect=params["expect"], within_s=PATIENT)

        kill_workers(psutil.Process(process.pid))

        assert ask(vm, "status", name="db")["pid"] == started["pid"]
    assert fleet.running() == {"node1": [started["pid"]]}
    with up(fleet.state, "--nodes=1"):
        vm = rpcclient("vm", config=fleet.state / "client.toml")
        assert ask(vm, "status", name="db")["state"] == "running"
        assert ask(vm, "stop", name="db", within_s=PATIENT)["how"] == "shutdown"
        ask(vm, "remove_config", name="db")
        ask(vm, "destroy_volume", name="db")
    assert fleet.left() == {"node1": []}


def ask(vm: RpcClient, action: str, **data: object) -> dict[str, object]:
    """What the one node answers; it has to go well."""
    (reply,) = vm.action(action)(**data)
    assert reply.statuscode == 0, reply.statusmsg
    return dict(reply.data)


def kill_workers(process: psutil.Process) -> None:
    """Kill what the workers were forked from; they go with it, and the fleet starts others."""
    (nursery,) = [part for part in process.children() if "nursery" in " ".join(part.cmdline())]
    os.kill(nursery.pid, signal.SIGKILL)
    wait_for(lambda: not nursery.is_running() or nursery.status() == psutil.STATUS_ZOMBIE)
