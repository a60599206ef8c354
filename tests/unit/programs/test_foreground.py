"""A node alone: what it knows and what it can do with everything else down."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fleetjobs.errors import InvalidDocument
from fleetjobs.messages import Stage
from fleetjobs.programs.foreground import read_request
from fleetjobs.programs.node import main
from fleetjobs.signing import SigningKey, node_key_id
from fleetjobs.spool.spool import Spool
from tests.processes import wait_for
from tests.workbench import make_key, now, seal_run, write_agent

PROGRAM = """#!/bin/sh
echo begun; echo trouble >&2
if grep -q '"text":"wait"' "$FLEETJOBS_REQUEST"; then sleep 60; fi
echo '{"data": {"said": "done"}}' > "$FLEETJOBS_REPLY"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The settings of a node whose broker is nowhere."""
    SigningKey.generate(node_key_id("web1")).save(tmp_path / "node.pem")
    write_agent(tmp_path / "agents", "shell", program=PROGRAM)
    (tmp_path / "node.toml").write_text(
        """
        identity = "web1"
        broker = "amqp://127.0.0.1:1/"
        state = "state"
        key = "node.pem"
        trust = "trust"
        policy = "policy.toml"
        agents = ["agents"]
        """
    )
    return tmp_path / "node.toml"


def node(*words: str, config: Path) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "fleetjobs.programs.node", *words, "--config", str(config)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def done(*words: str, config: Path) -> tuple[int, Any, str]:
    """Its exit status, the JSON it printed, and what else it said."""
    process = node(*words, config=config)
    stdout, stderr = process.communicate(timeout=60)
    return process.returncode, json.loads(stdout) if stdout else None, stderr.decode()


@pytest.mark.spec("S0-06")
def test_a_hand_written_request_is_carried_out(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text('{"agent": "shell", "action": "do"}')

    status, reply, said = done("run-file", str(path), config=config)

    assert status == 0
    assert (reply["state"], reply["data"]) == ("succeeded", {"kind": "plain", "said": "done"})
    assert "begun\n" in said
    assert "trouble\n" in said


@pytest.mark.spec("S0-06")
def test_an_interrupted_request_is_cancelled_with_its_program(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text('{"agent": "shell", "action": "do", "data": {"text": "wait"}}')
    process = node("run-file", str(path), config=config)
    wait_for(lambda: list((tmp_path / "state" / "foreground" / "runs").glob("*/program")), 30)

    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=60)

    assert process.returncode == 2
    assert json.loads(stdout)["state"] == "cancelled"


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("", "request.json"),
        ("[]", "a JSON object"),
        ('{"agent": "shell"}', "action"),
        ('{"agent": "shell", "action": "do", "more": 1}', "more"),
        ('{"agent": "nothing", "action": "do"}', "no agent"),
        ('{"agent": "shell", "action": "do", "data": {"text": 1}}', "text"),
    ],
)
def test_a_request_that_is_none_is_refused_in_words(
    config: Path, tmp_path: Path, document: str, complaint: str
) -> None:
    path = tmp_path / "request.json"
    path.write_text(document)

    status, reply, said = done("run-file", str(path), config=config)

    assert (status, reply) == (1, None)
    assert complaint in said
    assert "Traceback" not in said


def test_a_request_is_filled_up_from_little(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text('{"agent": "demo", "action": "echo", "caller": "ann"}')

    request = read_request(path)

    assert (request.caller, request.org, request.data) == ("ann", "local", {})
    with pytest.raises(InvalidDocument, match="No such file"):
        read_request(tmp_path / "none.json")


@pytest.mark.spec("S0-11")
def test_the_jobs_on_a_node_are_shown_with_everything_else_down(
    config: Path, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "state" / "spool")
    for _ in range(2):
        key = make_key()
        delivery, request = seal_run(key)
        spool.add(key, delivery=delivery, request=request, accepted_at=now())
    spool.put_reply(key, Stage.FINISHED, "cannot be read")
    (tmp_path / "state" / "spool" / "runs" / str(make_key())).mkdir()

    status, shown, _ = done("jobs", "--json", config=config)
    text = node("jobs", config=config).communicate(timeout=60)[0].decode()

    assert status == 0
    assert [(item["task"], item["stage"]) for item in shown["items"]] == [
        ("shell.do", "accepted"),
        ("shell.do", "finished"),
    ]
    assert len(text.splitlines()) == 2


def test_a_node_that_never_was_has_no_jobs(config: Path, tmp_path: Path) -> None:
    assert done("jobs", "--json", config=config)[:2] == (0, {"items": []})
    assert "state" not in os.listdir(tmp_path)  # noqa: PTH208  names only


def test_a_node_makes_its_key_once_and_prints_the_public_half(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "node.toml"
    path.write_text(
        'identity = "web1"\nbroker = "redis://127.0.0.1"\nstate = "."\nkey = "own/key.pem"\n'
        'trust = "trust"\npolicy = "policy.toml"\n'
    )

    said = []
    for _ in range(2):
        assert main(["key", "--config", str(path)]) == 0
        said.append(capsys.readouterr().out)

    key = SigningKey.load("node:web1", tmp_path / "own/key.pem").verify_key
    assert said == [f"{key.text}\n"] * 2


def test_a_key_that_cannot_be_kept_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "node.toml"
    (tmp_path / "file").touch()
    path.write_text(
        'identity = "web1"\nbroker = "redis://127.0.0.1"\nstate = "."\nkey = "file/key.pem"\n'
        'trust = "trust"\npolicy = "policy.toml"\n'
    )

    assert main(["key", "--config", str(path)]) == 1
    assert "key.pem" in capsys.readouterr().err
