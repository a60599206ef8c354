"""The commands that look and change nothing: find, facts, doc, node, job, status."""

import json
from collections.abc import Callable, Iterator

import pytest

from fleetjobs.cli.main import run
from fleetjobs.client.asking import Call, submit
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.jobs import Job
from fleetjobs.targets import Target
from tests.fake_fleet import FakeNode, failed, ok
from tests.fake_http import TOKEN
from tests.fake_server import FakeServer


def nodes() -> list[FakeNode]:
    return [
        FakeNode(name="web1", outcome=ok(pong=1)),
        FakeNode(name="web2", outcome=failed("no disk"), facts={"os": {"name": "Ubuntu"}}),
        FakeNode(
            name="db1",
            outcome=ok(pong=2),
            classes=("db",),
            alive=False,
            refused={"wild": "it does not want to be here"},
        ),
    ]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    with FakeServer(nodes()) as server:
        monkeypatch.setenv("FLEETJOBS_URL", server.url)
        monkeypatch.setenv("FLEETJOBS_TOKEN", TOKEN)
        monkeypatch.delenv("FLEETJOBS_CONFIG", raising=False)
        yield server


@pytest.fixture
def job(server: FakeServer) -> str:
    """A job that has ended, with something in its logs."""
    fleet = Fleet.connect()
    call = Call(agent="rpcutil", action="test", data={"count": 2}, target=Target())
    handle = Job(fleet, submit(fleet, call))
    assert handle.wait(60)
    for name, stream, log in (("web1", "stdout", b"A\xff\n"), ("web1", "stderr", b"B\n")):
        server.logs[handle.id, name, stream] = log
        server.jobs[handle.id].runs[name]["logs"][stream]["size"] = len(log)
    return handle.id


Fj = Callable[..., tuple[int, str, str]]


@pytest.fixture
def fj(server: FakeServer, capfd: pytest.CaptureFixture[str]) -> Fj:
    """Run a command line; its exit code and what it wrote to stdout and stderr."""

    def call(*args: str) -> tuple[int, str, str]:
        code = run(args)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    assert server.url
    return call


def test_find_prints_names(fj: Fj) -> None:
    assert fj("find", "-C", "web") == (0, "web1\nweb2\n", "")
    assert json.loads(fj("find", "-S", "not web", "--json")[1]) == ["db1"]


def test_find_ends_with_1_if_nothing_matches(fj: Fj) -> None:
    assert fj("find", "-C", "mail") == (1, "", "No node matches.\n")


def test_facts_are_counted(fj: Fj) -> None:
    code, out, _ = fj("facts", "os.name")

    assert code == 0
    assert "Debian  found 2 times" in out
    assert "Ubuntu  found 1 time\n" in out
    assert json.loads(fj("facts", "cpus", "--json")[1])["values"] == {"2": 2}


def test_a_fact_that_nobody_has_is_answered_with_those_like_it(fj: Fj) -> None:
    code, _, err = fj("facts", "os.nam")

    assert code == 1
    assert "did you mean os.name?" in err


def test_facts_without_a_name_lists_names(fj: Fj) -> None:
    assert fj("facts")[1] == "cpus\nos.name\n"


def test_doc_lists_agents_and_tells_of_their_actions(fj: Fj) -> None:
    assert "rpcutil" in fj("doc")[1]
    out = fj("doc", "rpcutil")[1]
    assert "rpcutil get_fact fact=STRING" in out
    assert "rpcutil test [count=INTEGER] [secret=STRING]" in out
    assert "never shown" in out
    assert "get_fact" not in fj("doc", "rpcutil", "ping")[1]
    assert json.loads(fj("doc", "rpcutil", "--json")[1])["metadata"]["name"] == "rpcutil"


def test_nodes_are_listed_with_whether_they_live(fj: Fj) -> None:
    rows = [row.split() for row in fj("node", "list")[1].splitlines()]

    assert ["db1", "silent"] in [row[:2] for row in rows]
    assert fj("node", "list", "--silent", "-q")[1] == "db1\n"
    assert len(json.loads(fj("node", "list", "--json")[1])["items"]) == 3


@pytest.mark.spec("EA-03")
def test_agents_are_told_with_their_contract_and_refused_ones_with_the_reason(fj: Fj) -> None:
    _, fleet_wide, _ = fj("node", "agents")
    _, of_one, _ = fj("node", "agents", "db1")

    assert ["rpcutil", "fleetjobs", "3"] in [
        [row.split()[0], *row.split()[2:4]] for row in fleet_wide.splitlines()
    ]
    assert "db1: wild is refused: it does not want to be here" in fleet_wide
    assert "get_fact" in of_one
    assert "wild is refused: it does not want to be here" in of_one
    assert fj("node", "agents", "--refused", "web1")[2] == "No agent is refused.\n"
    assert json.loads(fj("node", "agents", "db1", "--json")[1])["refused"][0]["name"] == "wild"
    assert fj("node", "agents", "nope")[0] == 1


@pytest.mark.parametrize("command", [("node", "show"), ("inventory",)])
def test_a_node_is_shown_with_its_facts(fj: Fj, command: tuple[str, ...]) -> None:
    out = fj(*command, "web1")[1]

    assert "os:\n      name: Debian" in out
    assert json.loads(fj(*command, "web1", "--json")[1])["identity"] == "web1"


def test_an_unknown_node_is_answered_with_those_like_it(fj: Fj) -> None:
    code, _, err = fj("node", "show", "wbe1")

    assert code == 1
    assert "did you mean web1" in err


@pytest.mark.spec("S1-26")
def test_status_counts(fj: Fj) -> None:
    out = fj("status")[1]

    assert "2 alive, 1 silent" in out
    assert json.loads(fj("status", "--json")[1])["state"] == "ok"


@pytest.mark.spec("S1-34")
def test_status_warns_of_versions_that_are_not_the_servers(fj: Fj, server: FakeServer) -> None:
    assert "0.1.0 on 3\n" in fj("status")[1]

    server.versions = {"0.1.0": 2, "0.2.0": 1}

    said = "0.1.0 on 2, 0.2.0 on 1: not all as the server, which has 0.1.0"
    assert said in fj("status")[1]


@pytest.mark.spec("S3-26")
def test_jobs_are_listed(fj: Fj, job: str) -> None:
    assert job in fj("job", "list")[1]
    assert fj("job", "list", "-q", "--state", "failed")[1] == f"{job}\n"
    assert fj("job", "list", "--state", "running") == (0, "", "There is no such job.\n")
    assert json.loads(fj("job", "list", "--json")[1])["items"][0]["id"] == job


def test_a_job_is_shown_with_its_runs(fj: Fj, job: str) -> None:
    out = fj("job", "show", "last")[1]

    assert job in out
    assert "failed (runs_failed), partly done" in out
    assert '{"count": 2}' in out
    assert "no disk" in out
    assert len(json.loads(fj("job", "show", job, "--json")[1])["runs"]) == 3


@pytest.mark.spec("T14")
@pytest.mark.parametrize("nodes", [["web1"], ["web1", "web2"]])
def test_a_run_that_waits_for_a_slot_says_behind_which_job(
    fj: Fj, server: FakeServer, nodes: list[str]
) -> None:
    fj("submit", "rpcutil", "ping", *(word for node in nodes for word in ("-I", node)))
    (job,) = server.jobs.values()
    waits = {"state": "waiting", "reason": None, "wait_reason": "concurrency", "blocked_by": "j9"}
    for one in job.runs.values():
        one.update(waits)

    out = fj("job", "show", "last")[1]

    assert out.count("concurrency") == out.count("behind j9") == len(nodes)


def test_one_run_is_shown_at_length(fj: Fj, job: str) -> None:
    out = fj("job", "show", job, "--node", "web1")[1]

    assert "pong: 1" in out
    assert "stdout:\n      A\ufffd\n" in out
    assert "stderr:\n      B\n" in out


def test_waiting_for_an_ended_job_ends_as_its_call_would_have(fj: Fj, job: str) -> None:
    code, out, _ = fj("job", "wait", job)

    assert code == 2
    assert "web2  failed" in out
    assert "web1" not in out


def test_waiting_has_a_limit(fj: Fj, server: FakeServer) -> None:
    server.nodes["web1"].outcome = lambda _: None
    fj("submit", "rpcutil", "ping", "-I", "web1")

    assert fj("job", "wait", "last", "--timeout", "0.2")[0] == 3


@pytest.mark.spec("S2-18")
def test_the_logs_of_one_run_keep_their_streams_apart(fj: Fj, job: str) -> None:
    code, out, err = fj("job", "logs", job, "web1", "--stream", "stderr")
    assert (code, out, err) == (0, "B\n", "")

    assert "==> web1 stdout <==" in fj("job", "logs", job)[1]


def test_an_unknown_job_is_told(fj: Fj) -> None:
    code, _, err = fj("job", "show", "nope")

    assert code == 1
    assert "there is no job 'nope'" in err
    assert "fj job list" in err


def test_last_without_any_job_is_told(fj: Fj) -> None:
    assert "not asked for any job" in fj("job", "show", "last")[2]


def test_a_node_is_let_in_and_told_what_it_needs(fj: Fj, server: FakeServer) -> None:
    code, out, _ = fj("node", "enroll", "web9", "--verify-key", "KEY")

    assert code == 0
    assert json.loads(server.bodies[-1][1]) == {"identity": "web9", "verify_key": "KEY"}
    for word in ("web9 is enrolled", "node.toml", "trust/", "policy.toml", "fj node --config"):
        assert word in out


def test_nodes_are_taken_off_and_what_they_left_is_told(fj: Fj) -> None:
    assert fj("node", "remove", "db1")[1] == (
        "db1 is taken off; 2 of its runs had not ended and failed.\n"
    )

    code, _, err = fj("node", "remove", "web1")
    assert code == 1
    assert "web1 lives" in err
    assert fj("node", "remove", "web1", "--force")[0] == 0


@pytest.mark.spec("S2-02")
def test_every_action_of_every_agent_is_listed(fj: Fj) -> None:
    code, out, _ = fj("action", "list")

    assert code == 0
    assert "rpcutil.get_fact" in out
    _, out, _ = fj("action", "list", "--json")
    assert "rpcutil.ping" in [item["action"] for item in json.loads(out)["items"]]


@pytest.mark.parametrize("words", [("node", "list"), ("node", "show", "web1"), ("status",)])
def test_what_is_wrong_with_a_living_node_is_told(
    fj: Fj, server: FakeServer, words: tuple[str, ...]
) -> None:
    assert "two machines" not in fj(*words)[1]
    server.warnings.append({"node": "web1", "code": "twin", "text": "two machines use it"})

    code, out, _ = fj(*words)

    assert code == 0
    assert "web1: two machines use it" in out


def test_a_warning_waits_for_a_person_too(fj: Fj, server: FakeServer) -> None:
    server.warnings.append({"node": "web1", "code": "twin", "text": "two machines use it"})

    code, out, err = fj("attention", "list")

    assert (code, err) == (0, "")
    assert out.strip() == "web1: two machines use it"
