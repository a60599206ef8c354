"""The demo agent shows what it promises, also to a signal and to the runner that loads it."""

import base64
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from fleetjobs import agent as python
from tests.agent_programs import (
    DIRECTORIES,
    JOB,
    ROOT,
    call,
    command_of,
    interface_of,
    prepare,
    take_reply,
)

AGENT = ROOT / "agents" / "demo"
PYTHON = [directory for directory in DIRECTORIES if (directory / f"{directory.name}.py").exists()]


@pytest.mark.parametrize("directory", PYTHON, ids=[path.name for path in PYTHON])
def test_an_agent_in_python_is_loaded_with_the_actions_it_declares(directory: Path) -> None:
    """As the runner and the worker do, also where modules lie beside it."""
    loaded = python.load(directory / f"{directory.name}.py")

    assert set(loaded.actions) == set(interface_of(directory).actions)


@pytest.mark.spec("S2-18")
def test_both_streams_are_kept_byte_for_byte(tmp_path: Path) -> None:
    stdout, stderr = bytes(range(256)), b"\xff\xfe\x00"
    data = {
        "stdout": base64.b64encode(stdout).decode(),
        "stderr": base64.b64encode(stderr).decode(),
        "encoding": "base64",
        "code": 3,
    }

    done = call(AGENT, tmp_path / "work", "out", data)

    assert (done.stdout, done.stderr, done.exit_code) == (stdout, stderr, 3)
    assert done.reply is None


@pytest.mark.spec("S1-16")
def test_the_first_attempts_fail(tmp_path: Path) -> None:
    def status(attempt: int) -> int:
        done = call(AGENT, tmp_path / "work", "fail", {"times": 2}, attempt=attempt)
        assert done.reply is not None
        return int(done.reply["statuscode"])

    assert [status(attempt) for attempt in (1, 2, 3)] == [1, 1, 0]


def test_a_sleep_tells_its_progress(tmp_path: Path) -> None:
    done = call(AGENT, tmp_path / "work", "sleep", {"seconds": 0.5})

    percents = [line["percent"] for line in done.progress]
    assert percents[0] == 0
    assert percents == sorted(percents)
    assert len(percents) > 5


def test_a_mark_names_job_node_attempt_and_process(tmp_path: Path) -> None:
    marks = tmp_path / "marks"

    done = call(AGENT, tmp_path / "work", "mark", {"file": str(marks), "text": "x y"}, attempt=2)

    pid = done.data["pid"]
    start = f"{JOB} web1.example.net 2 {pid}"
    assert marks.read_text() == f"{start} start x y\n{start} end x y\n"


def test_a_killed_mark_leaves_its_start(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    os.mkfifo(tmp_path / "progress")
    data = {"file": str(marks), "seconds": 600}
    env = prepare(AGENT, tmp_path / "work", "mark", data)
    env["FLEETJOBS_PROGRESS"] = str(tmp_path / "progress")

    running = subprocess.Popen(command_of(AGENT), env=env)
    with (tmp_path / "progress").open() as progress:
        progress.readline()  # comes after the first mark
    running.send_signal(signal.SIGTERM)

    assert running.wait(timeout=60) != 0
    assert take_reply(tmp_path / "work") == {"statuscode": 1, "statusmsg": "stopped", "data": {}}
    assert re.fullmatch(rf"{JOB} \S+ 1 {running.pid} start\n", marks.read_text())


def test_marks_follow_no_link(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "marks").symlink_to(tmp_path / "target")

    done = call(AGENT, tmp_path / "work", "mark", {"file": str(tmp_path / "marks")})

    assert done.reply is not None
    assert done.reply["statuscode"] == 1
    assert (tmp_path / "target").read_text() == ""
