"""A family of processes is kept alive, and ended without a trace."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fleetjobs.programs.family import Child, Family, program
from tests.processes import wait_for

SLEEPER = program("/bin/sleep", "60")
STUBBORN = program("/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done")


@pytest.fixture
def family() -> Iterator[Family]:
    """A family that is gone after the test, and the signals as they were."""
    before = signal.getsignal(signal.SIGCHLD)
    family = Family()
    yield family
    family.stop(lambda: True)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, before)


def test_a_child_that_dies_is_started_again(family: Family, tmp_path: Path) -> None:
    child = family.add(Child(name="sleeper", run=SLEEPER, log=tmp_path / "log", pause=0.01))
    first = child.pid

    os.kill(first, signal.SIGKILL)
    watch_until(family, lambda: child.pid not in {0, first})

    assert psutil.Process(child.pid).is_running()
    assert child.deaths == 1


def test_a_child_that_keeps_dying_is_started_more_and_more_rarely(
    family: Family, tmp_path: Path
) -> None:
    run = program("/bin/false")
    child = family.add(Child(name="dying", run=run, log=tmp_path / "log", pause=0.01))

    watch_until(family, lambda: child.deaths == 3)

    assert child.pause == pytest.approx(0.08)


def test_stopping_ends_the_highest_stage_first(family: Family, tmp_path: Path) -> None:
    log = tmp_path / "log"
    tell = "trap 'echo {0}; exit' TERM; echo ready {0}; while :; do sleep 0.05; done"
    for name, stage in {"broker": 0, "worker": 2, "server": 1}.items():
        run = program("/bin/sh", "-c", tell.format(name))
        family.add(Child(name=name, run=run, log=log, stage=stage))
    wait_for(lambda: log.exists() and log.read_text().count("ready") == 3)

    family.stop()

    assert log.read_text().split()[-3:] == ["worker", "server", "broker"]


def test_a_child_that_does_not_listen_is_killed(family: Family, tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = family.add(Child(name="stubborn", run=STUBBORN, log=log, patience_s=0.1))
    wait_for(lambda: log.exists() and "deaf" in log.read_text())
    pid = child.pid

    family.stop()

    assert not psutil.pid_exists(pid)


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    """Even if that is killed; otherwise nobody would ever stop it."""
    parent = os.fork()
    if parent == 0:
        family = Family()
        child = family.add(Child(name="sleeper", run=SLEEPER, log=tmp_path / "log"))
        (tmp_path / "new").write_text(str(child.pid))
        (tmp_path / "new").rename(tmp_path / "pid")
        signal.pause()
    pid = int(wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    wait_for(lambda: psutil.Process(pid).name() == "sleep")

    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)

    wait_for(lambda: gone(pid))


def watch_until(family: Family, condition: object) -> None:
    """Let the family see to itself until the condition holds."""

    def watched() -> bool:
        family.watch(within=0.05)
        return bool(condition())  # type: ignore[operator]  # a function

    wait_for(watched, every=0.0)


def gone(pid: int) -> bool:
    """Whether the process ended; it may stay a zombie where process 1 is no real init."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
