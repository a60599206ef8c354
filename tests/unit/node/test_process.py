import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetjobs.node.process import birth, boot, holder, is_alive, signal_tree, tree
from fleetjobs.spool.attempts import NOBODY, Holder
from tests.workbench import wait_for


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"], process_group=0) as process:
        yield process
        process.kill()


def test_a_living_process_is_known_by_more_than_its_pid(sleeper: subprocess.Popen[bytes]) -> None:
    found = holder(sleeper.pid)

    assert is_alive(found)
    assert not is_alive(Holder(found.pid, found.birth + 1, found.boot))
    assert not is_alive(Holder(found.pid, found.birth, "another boot"))


def test_a_zombie_is_not_alive(sleeper: subprocess.Popen[bytes]) -> None:
    found = holder(sleeper.pid)

    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)

    assert birth(sleeper.pid) is None
    assert not is_alive(found)
    assert not is_alive(holder(sleeper.pid))


def test_nobody_is_never_alive() -> None:
    assert not is_alive(NOBODY)


def test_a_name_with_spaces_and_brackets_is_no_riddle() -> None:
    pid = os.fork()
    if pid == 0:
        Path("/proc/self/comm").write_text("a) R (b")
        signal.pause()
    wait_for(lambda: Path(f"/proc/{pid}/comm").read_text() == "a) R (b\n")

    assert is_alive(holder(pid))

    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_the_boot_has_a_name() -> None:
    assert len(boot()) == 36


def test_a_signal_reaches_the_group_and_whoever_left_it() -> None:
    script = "setsid sleep 60 & sleep 60 & wait"
    with subprocess.Popen(
        ["sh", "-c", script], process_group=0, env={"MARK": "it", "PATH": os.environ["PATH"]}
    ) as process:
        wait_for(lambda: len(tree(None, "MARK=it")) == 3)

        assert signal_tree(process.pid, "MARK=it", signal.SIGKILL)
        process.wait()

    wait_for(lambda: not tree(process.pid, "MARK=it"))
    assert not signal_tree(process.pid, "MARK=it", signal.SIGKILL)


def test_a_child_without_group_and_mark_is_of_the_tree() -> None:
    script = "env -i setsid /bin/sleep 60 & wait"
    with subprocess.Popen(["sh", "-c", script], process_group=0) as process:
        wait_for(lambda: len(tree(process.pid, "MARK=no")) == 2)

        signal_tree(process.pid, "MARK=no", signal.SIGKILL)
        process.wait()

    assert not tree(process.pid, "MARK=no")


def test_a_mark_is_met_whole() -> None:
    with subprocess.Popen(["sleep", "60"], env={"MARK": "item"}) as process:
        assert not tree(None, "MARK=it")
        process.kill()
