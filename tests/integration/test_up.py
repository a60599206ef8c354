"""A whole fleet from one command: it works, heals, keeps its jobs and leaves nothing behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from fleetjobs.client.fleet import Fleet
from fleetjobs.client.jobs import Job
from fleetjobs.client.profile import read_profile
from fleetjobs.client.rpc import RpcClient, rpcclient
from tests.fleets import up
from tests.processes import wait_for


@pytest.mark.spec("S1-26")
def test_a_fleet_answers_heals_and_remembers(tmp_path: Path) -> None:
    """One story instead of six, because each start costs seconds."""
    state = tmp_path / "state"
    with up(state, "--nodes=2") as process:
        assert senders(state) == {"node1", "node2"}
        assert_is_refused_while_it_lives(state)
        assert_heals(state, process)
        job = client(state, "demo").submit("echo", text="kept")
        job.wait()

        process.send_signal(signal.SIGINT)
        wait_for(lambda: process.poll() is not None, within=30.0)

        assert process.returncode == 0
    assert remains(state) == []
    with up(state, "--nodes=3"):
        assert senders(state) == {"node1", "node2", "node3"}
    with up(state, "--nodes=2"):
        fleet = Fleet.connect(state / "client.toml")
        kept = Job(fleet, fleet.job(job.id))
        assert [reply.data["text"] for reply in kept.replies()] == ["kept", "kept"]
        assert [node["identity"] for node in fleet.nodes()] == ["node1", "node2"]
        assert senders(state) == {"node1", "node2"}
    wait_for(lambda: not remains(state), within=30.0)


@pytest.mark.spec("S0-13")
def test_a_fleet_works_on_a_broker_and_a_database_of_ones_own(
    tmp_path: Path, broker_url: str, postgres_url: str
) -> None:
    with up(tmp_path, "--nodes=2", "--broker", broker_url, "--database", postgres_url):
        assert senders(tmp_path) == {"node1", "node2"}
        replies = list(client(tmp_path, "demo").echo(text="hello"))

    assert [reply.data["text"] for reply in replies] == ["hello", "hello"]
    assert not (tmp_path / "fleetjobs.sqlite").exists()


def test_a_killed_fleet_takes_its_processes_with_it(tmp_path: Path) -> None:
    """Nobody would stop them, and the next fleet would share their queues and spools."""
    state = tmp_path / "state"
    with up(state, "--nodes=1") as process:
        process.kill()
        process.wait()

        wait_for(lambda: not remains(state), within=30.0)


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """Before anything is started or written."""
    with up(tmp_path / "one", "--nodes=1"):
        port = read_profile(tmp_path / "one" / "client.toml").url.rpartition(":")[2]
        argv = [sys.executable, "-m", "fleetjobs.programs.up", "--no-flower"]
        argv += ["--state", str(tmp_path / "two"), "--port", port]

        second = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert second.returncode == 1
    assert f"port {port} cannot be used" in second.stderr


def assert_is_refused_while_it_lives(state: Path) -> None:
    argv = [sys.executable, "-m", "fleetjobs.programs.up", "--state", str(state), "--port=0"]
    second = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert second.returncode == 1
    assert "is up in" in second.stderr


def assert_heals(state: Path, process: subprocess.Popen[str]) -> None:
    """Whatever part is killed, the fleet answers again."""
    for name in ("coordinator", "redis-server", "server", "nursery"):
        victims = [part for part in psutil.Process(process.pid).children() if is_called(part, name)]
        assert victims, f"no {name}"
        os.kill(victims[0].pid, signal.SIGKILL)

        wait_for(lambda: answers(state), within=60.0, every=0.2)


def answers(state: Path) -> bool:
    try:
        return senders(state) == {"node1", "node2"}
    except Exception:  # noqa: BLE001  anything may be down for the moment
        return False


def senders(state: Path) -> set[str]:
    """Who answers a ping."""
    return {reply.sender for reply in client(state, "rpcutil").ping() if reply.statuscode == 0}


def client(state: Path, agent: str) -> RpcClient:
    return rpcclient(agent, config=state / "client.toml")


def remains(state: Path) -> list[str]:
    """The living processes that were started for that state, or work in it."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            lives = process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            continue
        if lives and any(str(state) in word for word in words):
            found.append(" ".join(words))
    return found


def is_called(process: psutil.Process, name: str) -> bool:
    try:
        return any(word.endswith(name) or f"{name} " in word for word in process.cmdline())
    except psutil.NoSuchProcess:
        return False
