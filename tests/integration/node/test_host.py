"""The runner host: light, quick, and gone with its worker."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleetjobs.node import hosting
from fleetjobs.node.host import FORKED, START, Host
from fleetjobs.node.hosting import RunnerHost
from fleetjobs.programs import runner_host
from fleetjobs.programs.registries import for_runners
from fleetjobs.spool.attempts import RunKey
from tests.workbench import Desk, make_key, wait_for

OK = 'echo \'{"data": {"ok": 1}}\' > "$FLEETJOBS_REPLY"'


def test_a_host_starts_light() -> None:
    """What it imports, every runner carries and every job pays for."""
    code = "import sys, fleetjobs.programs.runner_host; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    heavy = {"celery", "kombu", "amqp", "sqlalchemy", "click", "rich", "asyncio", "psutil", "yaml"}
    assert not loaded & heavy


def test_a_host_takes_little_memory(desk: Desk) -> None:
    desk.shell(OK)
    desk.do()

    lines = Path(f"/proc/{host_pid(desk)}/smaps_rollup").read_text().splitlines()
    pss_kb = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))

    assert pss_kb < 32 * 1024


def test_an_action_from_accept_to_reply_is_quick(desk: Desk) -> None:
    """30 ms is the aim on an idle machine; the bound here is for a busy one."""
    desk.shell(OK)
    desk.do()

    took = []
    for _ in range(20):
        run = desk.accept()
        before = time.perf_counter()
        while not run.is_settled:
            desk.launcher.step()
            desk.launcher.wait(1)
        took.append(time.perf_counter() - before)

    assert min(took) < 0.1


def test_a_host_ends_with_its_worker(desk: Desk) -> None:
    desk.launcher.step()
    process = desk.host._process
    assert process is not None

    desk.host._connection.close()  # type: ignore[union-attr]  # as the kernel does for the dead

    assert process.wait(60) == 0


def test_a_host_does_not_hear_what_is_meant_for_the_terminal(desk: Desk) -> None:
    desk.launcher.step()

    assert os.getsid(host_pid(desk)) == host_pid(desk)


def test_a_host_does_not_see_the_environment_of_its_worker(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETJOBS_BROKER", "amqp://node:secret@broker")

    desk.launcher.step()

    assert b"secret" not in Path(f"/proc/{host_pid(desk)}/environ").read_bytes()


def test_a_host_may_be_forked_for_a_worker(desk: Desk) -> None:
    desk.shell(OK)
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        try:
            runner_host.serve(theirs, desk.workplace, for_runners(desk.workplace))
        finally:
            os._exit(0)
    theirs.close()
    host = RunnerHost(desk.workplace, ours)
    run = desk.accept()

    assert host.run(run.key)
    wait_for(lambda: run.is_settled)
    host.stop()

    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.timeout(60)
def test_a_host_and_its_worker_never_wait_for_each_other(desk: Desk) -> None:
    """More is asked for at once, and told of, than the connection holds on its way."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        Host._fork = lambda self, asked: self._say({FORKED: asked[START]})  # type: ignore[method-assign]
        try:
            runner_host.serve(theirs, desk.workplace, for_runners(desk.workplace))
        finally:
            os._exit(0)
    theirs.close()
    host = RunnerHost(desk.workplace, ours)
    keys = [make_key() for _ in range(3000)]

    assert all(host.run(key) for key in keys)
    told: list[RunKey] = []
    wait_for(lambda: told.extend(each.key for each in host.take()) or len(told) == len(keys))

    assert told == keys
    host.stop()
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.timeout(60)
def test_a_host_that_hangs_does_not_keep_its_worker_from_ending(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosting, "END_S", 0.1)
    desk.launcher.step()
    pid = host_pid(desk)
    os.kill(pid, signal.SIGSTOP)

    desk.host.stop()

    assert not Path("/proc", str(pid)).exists()


def test_runners_leave_no_zombies(desk: Desk) -> None:
    desk.shell(OK)
    for _ in range(5):
        desk.do()
    desk.drive(lambda: desk.launcher.running == 0)

    children = Path(f"/proc/{host_pid(desk)}/task/{host_pid(desk)}/children").read_text()

    assert children.split() == []


def host_pid(desk: Desk) -> int:
    process = desk.host._process
    assert process is not None
    return process.pid
