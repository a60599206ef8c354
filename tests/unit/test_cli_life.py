"""The life of a job from the command line: times, dependencies, cancel and the other verbs."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleetjobs.cli.main import run
from fleetjobs.client.fleet import Fleet
from fleetjobs.requests import Request
from fleetjobs.states import StartIf
from tests.fake_fleet import FakeNode, ok, silent
from tests.fake_http import TOKEN
from tests.fake_server import FakeServer

Fj = Callable[..., tuple[int, str, str]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    nodes = [
        FakeNode(name="web1", outcome=silent),
        FakeNode(name="web2", outcome=silent, alive=False),
        FakeNode(name="web3", outcome=ok()),
    ]
    with FakeServer(nodes) as server:
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


def newest(server: FakeServer) -> Request:
    """The request that came last."""
    return list(server.jobs.values())[-1].request


@pytest.mark.spec("S0-02", "S1-12")
def test_a_time_is_said_in_full_before_it_is_asked_for(fj: Fj, server: FakeServer) -> None:
    """And the job starts within the hour, or not at all."""
    code, out, err = fj("submit", "rpcutil", "ping", "--at", "2030-12-01T04:00:00Z")

    asked = newest(server)
    assert (code, out.strip()) == (0, asked.id)
    assert asked.not_before == datetime(2030, 12, 1, 4, tzinfo=UTC)
    assert asked.start_before == datetime(2030, 12, 1, 5, tzinfo=UTC)
    assert "Not before Sun 2030-12-01 " in err
    assert "04:00:00 UTC" in err
    assert "Not after  Sun 2030-12-01 " in err


def test_never_too_late_means_never(fj: Fj, server: FakeServer) -> None:
    fj("submit", "rpcutil", "ping", "--at", "+2h", "--start-before", "never")

    asked = newest(server)
    assert (asked.start_before, asked.keep) == (None, True)


@pytest.mark.parametrize("command", ["rpc", "submit"])
def test_a_delay_counts_from_now(fj: Fj, server: FakeServer, command: str) -> None:
    """`fj rpc` does not wait for a job that is for later."""
    before = datetime.now(UTC)

    code, out, _ = fj(command, "rpcutil", "ping", "--delay", "2h")

    asked = newest(server)
    assert (code, out.strip()) == (0, asked.id)
    assert asked.not_before is not None
    assert timedelta(0) <= asked.not_before - before - timedelta(hours=2) < timedelta(seconds=30)


def test_a_call_in_the_background_prints_its_id(fj: Fj, server: FakeServer) -> None:
    code, out, _ = fj("rpc", "rpcutil", "ping", "--background")

    assert (code, out.strip()) == (0, newest(server).id)
    assert newest(server).not_before is None


@pytest.mark.spec("S0-09")
def test_a_job_can_wait_for_others(fj: Fj, server: FakeServer) -> None:
    """By id or `last`, a whole job or one of its runs, ended well or otherwise."""
    _, first, _ = fj("submit", "rpcutil", "ping")
    first = first.strip()

    fj("submit", "rpcutil", "ping", "--after", f"{first}@web1:failed", "--retries", "3")
    fj("submit", "rpcutil", "ping", "--after", "last:completed", "--after", first)

    second, third = [job.request for job in server.jobs.values()][1:]
    assert [(after.job, after.node, after.when) for after in second.after] == [
        (first, "web1", StartIf.FAILED)
    ]
    assert second.retries == 3
    assert [(after.job, after.when) for after in third.after] == [
        (second.id, StartIf.COMPLETED),
        (first, StartIf.SUCCEEDED),
    ]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--at", "10/11/2030"), "several ways"),
        (("--at", "2020-01-01 04:00"), "has passed"),
        (("--at", "+1h", "--start-before", "+30m"), "no time to start"),
        (("--after", "nonsense"), "no job 'nonsense'"),
        (("--retries", "101"), "0<=x<=100"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(
    fj: Fj, server: FakeServer, options: tuple[str, ...], text: str
) -> None:
    code, _, err = fj("submit", "rpcutil", "ping", *options)

    assert code == 1
    assert text in err
    assert not server.jobs


@pytest.mark.spec("S1-24")
def test_a_cancelled_job_is_told_in_plain_words(fj: Fj) -> None:
    fj("submit", "rpcutil", "ping", "-I", "web1")

    code, out, _ = fj("job", "cancel", "last")

    assert code == 0
    assert out.startswith("Job ")
    assert out.endswith(" is cancelled.\n")


def test_what_a_node_has_not_confirmed_is_told_with_what_to_do(fj: Fj) -> None:
    """web2 is away: it will confirm when it is back."""
    fj("submit", "rpcutil", "ping", "-I", "web1", "-I", "web2")

    code, out, _ = fj("job", "cancel", "last", "--timeout", "0")

    assert code == 0
    assert "is being cancelled" in out
    assert "Away: web2; confirmed when back" in out
    assert "fj job show " in out


def test_verbs_pass_on_what_was_said(fj: Fj, server: FakeServer) -> None:
    fj("submit", "rpcutil", "ping", "-I", "web1", "-I", "web2")

    fj("job", "hold", "last", "-I", "web1")
    fj("job", "release", "last")
    fj("job", "cancel", "last", "--force", "-t", "0")
    fj("job", "resolve", "last", "--as", "failed", "-I", "web2", "-t", "0")

    assert server.told == [
        ("hold", {"target": {"identities": ["web1"]}}),
        ("release", {}),
        ("cancel", {"force": True}),
        ("resolve", {"as": "failed", "target": {"identities": ["web2"]}}),
    ]


def test_what_comes_after_the_end_is_not_said_to_be_done(fj: Fj) -> None:
    fj("rpc", "rpcutil", "ping", "-I", "web3")

    _, out, _ = fj("job", "resolve", "last", "--as", "failed")

    assert out.endswith(" had ended before: succeeded.\n")


@pytest.mark.spec("S1-23")
def test_a_rerun_prints_the_id_of_the_new_job(fj: Fj, server: FakeServer) -> None:
    """It was named by us, so that asking twice would be the same job."""
    fj("submit", "rpcutil", "ping", "-I", "web1")

    code, out, _ = fj("job", "rerun", "last")

    assert code == 0
    assert out.strip() == newest(server).id == server.told[0][1]["id"]


@pytest.mark.spec("S0-05", "S1-22")
def test_an_edit_says_what_is_changed_and_which_version_was_seen(
    fj: Fj, server: FakeServer
) -> None:
    fj("submit", "rpcutil", "test", "count=1", "--at", "2030-12-01T04:00:00Z")

    code, out, err = fj("job", "edit", "last", "count=5", "--at", "2030-12-01T06:00:00Z")

    assert (code, "is changed" in out) == (0, True)
    assert "06:00:00 UTC" in err
    changes = json.loads(server.bodies[-1][1])
    assert changes["data"] == {"count": 5}
    assert changes["not_before"] == "2030-12-01T06:00:00+00:00"
    assert changes["start_before"] == "2030-12-01T07:00:00+00:00"  # an hour later, as before


def test_an_edit_of_nothing_is_refused(fj: Fj) -> None:
    fj("submit", "rpcutil", "ping")

    code, _, err = fj("job", "edit", "last")

    assert code == 1
    assert "nothing is to be changed" in err


@pytest.mark.parametrize("command", ["cancel", "hold", "release", "rerun", "retry", "edit"])
def test_help_of_a_verb_has_an_example(fj: Fj, command: str) -> None:
    code, out, _ = fj("job", command, "--help")

    assert code == 0
    assert f"fj job {command} last" in out.split("Examples")[1]


@pytest.mark.spec("S0-03")
def test_live_asks_the_nodes_and_names_the_silent(fj: Fj) -> None:
    fj("submit", "rpcutil", "ping", "-I", "web1", "-I", "web2")

    code, out, _ = fj("job", "show", "last", "--live")

    assert code == 2
    assert "Did not answer: web2" in out
    assert "web1" in out
    assert "40 % unpacking" in out


@pytest.mark.spec("S1-07")
@pytest.mark.parametrize("more", [(), ("--follow",)])
def test_events_are_rows(fj: Fj, more: tuple[str, ...]) -> None:
    fj("rpc", "rpcutil", "ping", "-I", "web3")

    code, out, _ = fj("job", "events", "last", *more)

    assert code == 0
    assert [row.split()[0] for row in out.splitlines()] == ["run.succeeded", "job.succeeded"]


@pytest.mark.spec("S1-30")
def test_run_local_runs_on_the_node_that_this_machine_is(fj: Fj, server: FakeServer) -> None:
    code, out, _ = fj("run-local", "rpcutil", "ping", "--node", "web3")

    assert code == 0
    assert "1 node: 1 ok" in out
    assert newest(server).target.identities == ("web3",)


def test_run_local_says_when_this_machine_is_no_node(fj: Fj) -> None:
    code, _, err = fj("run-local", "rpcutil", "ping")

    assert code == 1
    assert "--node NAME says which node" in err


def test_a_log_is_followed_to_its_end(fj: Fj, server: FakeServer) -> None:
    fj("rpc", "rpcutil", "ping", "-I", "web3")
    job = newest(server).id
    server.logs[job, "web3", "stdout"] = b"one\ntwo\n"
    server.logs[job, "web3", "stderr"] = b"oh\n"

    code, out, err = fj("job", "logs", "last", "--follow")

    assert (code, out, err) == (0, "one\ntwo\n", "oh\n")


def test_only_one_run_is_followed(fj: Fj) -> None:
    fj("submit", "rpcutil", "ping")

    code, _, err = fj("job", "logs", "last", "--follow")

    assert code == 1
    assert "name node or leg" in err


def test_what_is_at_work_is_not_said_to_be_tried_again(fj: Fj) -> None:
    fj("submit", "rpcutil", "ping", "-I", "web1")

    code, out, _ = fj("job", "retry", "last")

    assert code == 0
    assert "nothing of it has to be tried again" in out


@pytest.mark.spec("S4-08")
@pytest.mark.parametrize(
    ("words", "wish"),
    [
        ("--mode rollback_self", {"mode": "rollback_self"}),
        ("--mode as_is", {"mode": "as_is"}),
        ("--to disk --to image", {"mode": "rollback_to", "rollback_to": ["disk", "image"]}),
    ],
)
def test_a_retry_says_what_is_undone_first(
    fj: Fj, monkeypatch: pytest.MonkeyPatch, words: str, wish: dict[str, Any]
) -> None:
    fj("submit", "rpcutil", "ping", "-I", "web1")
    asked: list[dict[str, Any]] = []

    def act(fleet: Fleet, job: str, verb: str, said: dict[str, Any]) -> Any:
        asked.append(said | {"verb": verb})
        return fleet.job(job)

    monkeypatch.setattr(Fleet, "act", act)

    code, _, _ = fj("job", "retry", "last", *words.split())

    assert code == 0
    assert asked[0].items() >= (wish | {"verb": "retry"}).items()


@pytest.mark.parametrize("words", ["--mode rollback_to", "--mode as_is --to disk", "--mode undo"])
def test_a_retry_that_contradicts_itself_is_refused(fj: Fj, words: str) -> None:
    fj("submit", "rpcutil", "ping", "-I", "web1")

    code, _, err = fj("job", "retry", "last", *words.split())

    assert code == 1
    assert "--to" in err or "as_is" in err
