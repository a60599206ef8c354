"""`fj rpc` and `fj submit` batch after batch: what is asked for, and what is refused unasked."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetjobs.cli.main import run
from tests.fake_fleet import FakeNode, ok
from tests.fake_http import TOKEN
from tests.fake_server import FakeServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """A server with one node."""
    with FakeServer([FakeNode(name="web1", outcome=ok(pong=1))]) as server:
        monkeypatch.setenv("FLEETJOBS_URL", server.url)
        monkeypatch.setenv("FLEETJOBS_TOKEN", TOKEN)
        monkeypatch.delenv("FLEETJOBS_CONFIG", raising=False)
        yield server


def asked(server: FakeServer) -> dict[str, Any]:
    """What was handed in last."""
    found: dict[str, Any] = json.loads(server.bodies[-1][1])
    return found


def test_options_become_a_rollout(server: FakeServer) -> None:
    code = run(
        [
            *("submit", "rpcutil", "ping", "--batch", "10%", "--canary", "1", "--batch-sleep"),
            *("2m", "--max-failures", "3", "--order", "fact:os.name", "--reach", "30s"),
            "--by-hand",
        ]
    )

    assert code == 0
    assert asked(server)["rollout"] == {
        "batch": "10%",
        "canary": "1",
        "sleep_s": 120.0,
        "max_failures": "3",
        "order": "fact:os.name",
        "reach_s": 30.0,
        "by_hand": True,
    }


def test_without_options_all_nodes_are_asked_at_once(server: FakeServer) -> None:
    assert run(["submit", "rpcutil", "ping"]) == 0
    assert "rollout" not in asked(server)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--batch", "0"), "the batch is 0; the least is 1"),
        (("--batch", "101%"), "the batch is 101%; the most is 100%"),
        (("--batch=-1",), "'-1' is neither a number of nodes"),
        (("--max-failures=-1%",), "'-1%' is neither a number of nodes"),
        (("--canary", "some"), "'some' is neither a number of nodes"),
        (("--order", "backwards"), "'backwards' is no order"),
        (("--reach", "0"), "nodes need some time to begin"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(
    server: FakeServer, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    code = run(["submit", "rpcutil", "ping", *options])

    assert code != 0
    assert words in capsys.readouterr().err
    assert server.bodies == []


def test_a_program_names_the_nodes(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside other conditions, and not beside names."""
    program = tmp_path / "find"
    program.write_text('#!/bin/sh\necho looking\necho \'{"nodes": ["web1"]}\' > "$2"\n')
    program.chmod(0o755)
    words = ["submit", "rpcutil", "ping", "--discover", str(program)]

    assert run([*words, "-A", "rpcutil"]) == 0
    assert asked(server)["target"] == {"identities": ["web1"], "agents": ["rpcutil"]}
    assert "looking" not in capsys.readouterr().out
    assert run([*words, "-I", "web1"]) == 1
    assert "give no --identity" in capsys.readouterr().err
