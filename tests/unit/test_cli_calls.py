"""`fj rpc`, `fj submit` and `fj ping`: what they print, and what they end with."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleetjobs.cli.main import run
from tests.fake_fleet import FakeNode, failed, ok, silent
from tests.fake_http import TOKEN
from tests.fake_server import FakeServer

RUDE = "\x1b]0;owned\x07\x1b[2J[/bold] \u202eevil\x00"


def nodes() -> list[FakeNode]:
    return [
        FakeNode(name="web1", outcome=ok(fact="os", value="Debian")),
        FakeNode(name="web2", outcome=ok(fact="os", value="Debian"), delay=0.03),
        FakeNode(name="web3", outcome=failed("no such fact"), delay=0.06),
        FakeNode(name="db1", outcome=silent, classes=("db",)),
        FakeNode(name="db2", outcome=ok(fact="os", value=RUDE), classes=("db",)),
    ]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    with FakeServer(nodes()) as server:
        monkeypatch.setenv("FLEETJOBS_URL", server.url)
        monkeypatch.setenv("FLEETJOBS_TOKEN", TOKEN)
        monkeypatch.delenv("FLEETJOBS_CONFIG", raising=False)
        yield server


@pytest.fixture
def fj(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run a command line; its exit code and what it printed to stdout."""

    def call(*args: str) -> tuple[int, str]:
        code = run(args)
        return code, capsys.readouterr().out

    assert server.url
    return call


Fj = Callable[..., tuple[int, str]]


def test_replies_are_shown_under_their_titles_and_summed_up(fj: Fj) -> None:
    code, out = fj("rpc", "rpcutil", "get_fact", "fact=os", "-I", "web1", "-I", "web2")

    assert code == 0
    assert "web1\n    Fact: os\n   Value: Debian\n" in out
    assert "Summary of Value:\n\n   Debian = 2\n" in out
    assert "2 nodes: 2 ok, in " in out


def test_failures_are_told_with_their_reason_and_end_with_2(fj: Fj) -> None:
    code, out = fj("rpc", "rpcutil", "ping", "-C", "web")

    assert code == 2
    assert "web3  failed (aborted)\n   no such fact\n" in out
    assert "3 nodes: 2 ok, 1 failed" in out


@pytest.mark.parametrize(
    ("target", "code"),
    [(("-I", "db1"), 4), (("-C", "db", "-F", "cpus=2", "-I", "/db1/"), 3), (("-C", "db"), 2)],
)
def test_nodes_that_never_reply_are_named_and_the_call_ends(
    fj: Fj, target: tuple[str, ...], code: int
) -> None:
    found, out = fj("rpc", "rpcutil", "ping", "--timeout", "0.3", *target)

    assert found == code
    assert "No response from:\n\n   db1\n" in out
    assert "waits for them: `fj job show last`" in out


@pytest.mark.usefixtures("server")
def test_a_target_that_picks_nothing_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["rpc", "rpcutil", "ping", "-C", "mail"])

    assert code == 1
    assert "picks none" in capsys.readouterr().err


def test_json_is_one_document_with_all_there_is(fj: Fj) -> None:
    code, out = fj(
        "rpc", "rpcutil", "get_fact", "fact=os", "-I", "web1", "-I", "web3", "-I", "db1",
        "--timeout", "0.3", "--json", "--sort",
    )  # fmt: skip

    document = json.loads(out)
    assert code == 2
    assert [reply["sender"] for reply in document["replies"]] == ["web1", "web3"]
    assert document["replies"][0]["data"] == {"fact": "os", "value": "Debian"}
    assert document["no_response"] == ["db1"]
    assert document["summaries"][0]["value"] == {"Debian": 1}
    assert document["stats"]["failed"] == 1


def test_jsonl_is_a_line_for_each_reply(fj: Fj) -> None:
    _, out = fj("rpc", "rpcutil", "ping", "-C", "web", "--jsonl")

    assert {json.loads(line)["sender"] for line in out.splitlines()} == {"web1", "web2", "web3"}


def test_a_table_has_a_column_for_each_output(fj: Fj) -> None:
    _, out = fj("rpc", "rpcutil", "get_fact", "fact=os", "-C", "web", "--table", "--sort")

    rows = [row.split() for row in out.splitlines()]
    assert rows[0] == ["NODE", "STATE", "MESSAGE", "FACT", "VALUE"]
    assert rows[1] == ["web1", "succeeded", "os", "Debian"]


def test_senders_are_names_alone(fj: Fj) -> None:
    _, out = fj("rpc", "rpcutil", "ping", "-C", "web", "--senders", "--display", "ok", "--sort")

    assert out == "web1\nweb2\n"


def test_what_was_left_out_is_not_said_to_have_failed(fj: Fj, server: FakeServer) -> None:
    """As where a rollout stops: one failed, the others never began."""
    for name in ("web1", "web2"):
        server.nodes[name].outcome = failed(state="skipped", reason="rollout", statuscode=None)

    code, out = fj("rpc", "rpcutil", "ping", "-C", "web")

    assert code == 2
    assert "3 nodes: 1 failed, 2 skipped, in " in out


def test_display_failed_shows_the_failed_alone(fj: Fj) -> None:
    _, out = fj("rpc", "rpcutil", "ping", "-C", "web", "--display", "failed", "-q")

    assert out.startswith("web3")
    assert "web1" not in out


def test_an_interface_that_shows_failures_alone_is_obeyed(fj: Fj) -> None:
    _, out = fj("rpc", "rpcutil", "test", "-C", "web")

    assert "web1" not in out
    assert "web3" in out


@pytest.mark.parametrize("manner", ["--table", "--json", "--jsonl", "--display=all"])
def test_what_a_terminal_would_act_on_never_reaches_it(fj: Fj, manner: str) -> None:
    _, out = fj("rpc", "rpcutil", "get_fact", "fact=os", "-I", "db2", manner)

    assert "evil" in out
    assert not set(out) & set("\x1b\x07\x00\u202e")


def test_the_output_of_one_command_is_the_target_of_the_next(
    fj: Fj, tmp_path: Path, server: FakeServer
) -> None:
    _, out = fj("rpc", "rpcutil", "ping", "-C", "web", "--display", "failed", "--json")
    (tmp_path / "failed.json").write_text(out)

    fj("rpc", "rpcutil", "ping", "--nodes", str(tmp_path / "failed.json"), "--json")

    assert list(list(server.jobs.values())[-1].runs) == ["web3"]


def test_w_takes_classes_and_facts(fj: Fj, server: FakeServer) -> None:
    fj("submit", "rpcutil", "ping", "-W", "web cpus>=2", "-1", "--limit-method", "random")

    target = next(iter(server.jobs.values())).request.target
    assert (target.classes, target.facts) == (("web",), ("cpus>=2",))
    assert (target.limit, target.method) == ("1", "random")


def test_submit_prints_the_id_alone(fj: Fj, server: FakeServer) -> None:
    code, out = fj("submit", "rpcutil", "ping", "--at", "2030-12-01T04:00:00Z")

    assert code == 0
    assert out.split() == list(server.jobs)
    due = next(iter(server.jobs.values())).request.not_before
    assert due is not None
    assert due.year == 2030


def test_submit_gives_the_job_as_json(fj: Fj, server: FakeServer) -> None:
    _, out = fj("submit", "rpcutil", "ping", "-I", "web1", "--json")

    assert json.loads(out)["id"] in server.jobs


def test_ping_tells_how_long_each_took(fj: Fj) -> None:
    code, out = fj("ping", "-C", "web", "-F", "cpus=2", "-I", "/web[12]/")

    assert code == 0
    assert "web1" in out
    assert "time=" in out
    assert "2 replies max: " in out


def test_ctrl_c_says_that_the_job_goes_on(server: FakeServer) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "fleetjobs.cli.start", "rpc", "rpcutil", "ping"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"FLEETJOBS_URL": server.url},
    )
    assert process.stdout is not None
    assert process.stdout.readline()

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    [job] = server.jobs
    assert process.returncode == 130
    assert "the job goes on" in err
    assert f"fj job wait {job}" in err
    assert "Traceback" not in err


def test_a_reader_that_goes_away_ends_it_quietly(server: FakeServer) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "fleetjobs.cli.start", "rpc", "rpcutil", "ping", "-C", "web"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"FLEETJOBS_URL": server.url},
    )
    assert process.stdout is not None
    process.stdout.close()

    assert process.wait(60) == 141
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
