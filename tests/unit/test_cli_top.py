"""`fj top`: a live table on a terminal, printed once where there is none."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from fleetjobs.cli.main import run
from fleetjobs.cli.top import ENTER, LEAVE
from fleetjobs.client.asking import Call, submit
from fleetjobs.client.fleet import Fleet
from fleetjobs.targets import Target
from tests.fake_fleet import FakeNode, ok, silent
from tests.fake_http import TOKEN
from tests.fake_server import FakeServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """A fleet on which one job ended and another one runs."""
    monkeypatch.setenv("FLEETJOBS_TOKEN", TOKEN)
    monkeypatch.delenv("FLEETJOBS_CONFIG", raising=False)
    nodes = [FakeNode(name="web1", outcome=ok(pong=1)), FakeNode(name="db1", outcome=silent)]
    with FakeServer(nodes) as server:
        monkeypatch.setenv("FLEETJOBS_URL", server.url)
        for action, node in (("ping", "web1"), ("ping", "web1"), ("test", "db1")):
            target = Target(identities=(node,))
            data = {"count": 1} if action == "test" else {}
            submit(Fleet.connect(), Call(agent="rpcutil", action=action, data=data, target=target))
        yield server


@pytest.mark.spec("S2-34")
@pytest.mark.usefixtures("server")
def test_one_look_is_printed_and_ends(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["top", "-n", "1"]) == 0

    out = capfd.readouterr().out
    assert "rpcutil.test" in out
    assert "\x1b" not in out


@pytest.mark.spec("S2-34")
@pytest.mark.usefixtures("server")
def test_of_each_action_the_newest_job_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["top", "--each-action"]) == 0

    out = capfd.readouterr().out
    assert (out.count("rpcutil.ping"), out.count("rpcutil.test")) == (1, 1)


@pytest.mark.spec("S2-34")
@pytest.mark.usefixtures("server")
def test_a_terminal_is_given_back_as_it_was() -> None:
    ours, theirs = os.openpty()
    argv = [sys.executable, "-m", "fleetjobs.cli.start", "top", "-n", "2", "--every", "0.1s"]
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)

    assert process.returncode == 0
    assert seen.decode().startswith(ENTER)
    assert seen.decode().endswith(LEAVE)
    assert seen.count(b"\x1b[H") == 2


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # nobody holds the other end any more
        return b""
