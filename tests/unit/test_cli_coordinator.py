"""What waits for a person, and what the coordinator is told, from the command line."""

import io
from collections.abc import Callable, Iterator

import pytest

from fleetjobs.cli.main import run
from fleetjobs.cli.screen import Screen
from tests.fake_fleet import FakeNode, ok
from tests.fake_http import TOKEN
from tests.fake_server import FakeServer

Fj = Callable[..., tuple[int, str, str]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    with FakeServer([FakeNode(name="web1", outcome=ok())]) as server:
        monkeypatch.setenv("FLEETJOBS_URL", server.url)
        monkeypatch.setenv("FLEETJOBS_TOKEN", TOKEN)
        monkeypatch.delenv("FLEETJOBS_CONFIG", raising=False)
        yield server


@pytest.fixture
def fj(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> Fj:
    """Run a command line; its exit code, and what it printed to stdout and stderr."""

    def call(*args: str) -> tuple[int, str, str]:
        code = run(args)
        out, err = capsys.readouterr()
        return code, out, err

    assert server.url
    return call


def test_attention_says_what_is_wrong_and_what_can_be_done(fj: Fj, server: FakeServer) -> None:
    code, _, err = fj("attention", "list")
    assert (code, err) == (0, "Nothing waits for a person.\n")
    server.attention.append(
        {"job": "j1", "node": "web1", "state": "paused", "reason": "lost", "started_at": None}
        | {"agent": "demo", "action": "sleep", "give_up_at": None}
    )

    _, out, _ = fj("attention", "list")

    assert "the node fell silent at work" in out
    assert "given up" in out
    assert "fj job resolve JOB --as succeeded|failed" in out
    assert "LEG" not in out.splitlines()[0]


@pytest.mark.spec("S4-13")
def test_attention_tells_which_leg_failed_how_often_and_what_it_said(
    fj: Fj, server: FakeServer
) -> None:
    server.attention.append(
        {"job": "j1", "node": "web1", "state": "paused", "reason": "attempts_exhausted"}
        | {"agent": "vm", "action": "start", "leg": "start", "tries": 2, "statusmsg": "no image"}
        | {"started_at": None, "give_up_at": None}
    )

    _, out, _ = fj("attention", "list")

    title, row, *_ = out.splitlines()
    assert title.split()[:5] == ["JOB", "NODE", "STATE", "ACTION", "LEG"]
    assert "vm.start  start  it failed too often (2 tries): no image" in row


@pytest.mark.spec("S4-13")
def test_a_narrow_terminal_is_told_why_something_waits(
    fj: Fj, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of 80 columns had eleven of them for the reason."""
    seen = io.StringIO()
    screen = Screen(file=seen, is_terminal=True, has_colour=False, width=80)
    monkeypatch.setattr("fleetjobs.cli.attention.stdout", lambda: screen)
    server.attention += [
        {"job": "j1", "node": node, "state": "paused", "reason": "attempts_exhausted"}
        | {"agent": "vm", "action": "start", "leg": "start", "plan": "p1", "tries": 2}
        | {"statusmsg": "no image under /srv/images", "started_at": None, "give_up_at": None}
        for node in ("web1", "web2")
    ]

    fj("attention", "list")

    rows = seen.getvalue().splitlines()
    assert rows[0] == "j1  vm.start  leg start of p1"
    assert rows[1:3] == [
        "   web1  paused  it failed too often (2 tries): no image under /srv/images;",
        "      given up: never",
    ]
    assert max(map(len, rows)) <= 80


@pytest.mark.parametrize(
    ("state", "expected"), [("working", 0), ("paused", 1), ("stopped", 2), ("away", 2)]
)
@pytest.mark.spec("S1-29")
def test_check_ends_as_monitoring_wants(
    fj: Fj, server: FakeServer, state: str, expected: int
) -> None:
    server.coordinator["state"] = state

    code, out, _ = fj("coordinator", "check")

    assert code == expected
    assert state in out


def test_the_coordinator_is_told(fj: Fj, server: FakeServer) -> None:
    fj("coordinator", "pause", "--relay", "--message", "upgrade")
    fj("coordinator", "resume")
    fj("coordinator", "stop", "--message", "x")

    assert server.told == [
        ("pause", {"message": "upgrade"}),
        ("resume", {}),
        ("stop", {"message": "x"}),
    ]


def test_the_outbox_can_be_looked_at_and_cleared(fj: Fj, server: FakeServer) -> None:
    server.outbox.append({"job": "j1", "node": "web1", "due_at": None})

    assert "j1" in fj("coordinator", "outbox", "list")[1]
    assert fj("coordinator", "outbox", "clear")[1] == "1 run cancelled.\n"
