"""The door that people write programs against."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

import fleetjobs
from fleetjobs import rpcclient
from fleetjobs.client import following
from fleetjobs.client.asking import Call, submit
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.jobs import Job
from fleetjobs.client.rpc import RpcClient
from fleetjobs.errors import (
    InvalidInput,
    InvalidTarget,
    InvalidTime,
    MissingInput,
    NoNodes,
    Problem,
    UnknownAction,
)
from fleetjobs.states import Reason, State
from fleetjobs.targets import Target
from tests.fake_fleet import FakeNode, failed, ok, silent
from tests.fake_server import FakeServer

NODES = [
    FakeNode(name="web1", outcome=ok(pong=1)),
    FakeNode(name="web2", outcome=failed("no disk", exit_code=3, reason="exit_code"), delay=0.05),
    FakeNode(name="web3", outcome=silent, alive=False),
]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(NODES) as server:
        yield server


@pytest.fixture
def config(server: FakeServer, tmp_path: Path) -> Path:
    return server.profile(tmp_path / "client.toml")


def client(config: Path, *nodes: str, timeout: float | None = 5) -> RpcClient:
    return rpcclient("rpcutil", nodes=nodes, timeout=timeout, config=config)


def test_an_action_is_a_method_that_yields_replies(config: Path) -> None:
    replies = list(client(config, "web1", "web2").ping())

    assert [(reply.sender, reply.statuscode, reply.statusmsg) for reply in replies] == [
        ("web1", 0, "OK"),
        ("web2", 1, "no disk"),
    ]
    assert replies[0].data == {"pong": 1}
    assert replies[0].is_ok
    assert replies[1].state is State.FAILED
    assert replies[1].reason is Reason.EXIT_CODE
    assert replies[1].exit_code == 3


def test_a_call_is_made_when_it_is_called_not_when_it_is_read(
    config: Path, server: FakeServer
) -> None:
    client(config, "web1").ping()

    assert len(server.jobs) == 1


def test_a_call_ends_by_itself_and_names_who_did_not_reply(config: Path) -> None:
    replies = client(config, "web1", "web3", timeout=0.5).ping()

    assert [reply.sender for reply in replies] == ["web1"]
    assert replies.silent == ["web3"]


def test_nodes_known_to_be_away_are_not_waited_for(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a timeout of one's own: web3 has been silent for long, so there is no point."""
    monkeypatch.setattr(following, "QUIET_S", 0.2)

    replies = client(config, "web1", "web3", timeout=None).ping()

    assert [reply.sender for reply in replies] == ["web1"]
    assert replies.silent == ["web3"]


def test_an_action_named_like_a_method_can_be_called(config: Path) -> None:
    [reply] = client(config, "web1").action("test")(count=2)

    assert reply.is_ok


def test_submit_gives_a_handle(config: Path) -> None:
    job = client(config, "web1").submit("get_fact", fact="os")

    assert job.wait(60)
    assert job.state is State.SUCCEEDED
    assert job.nodes == 1
    assert [run["node"] for run in job.runs()] == ["web1"]
    assert [reply.sender for reply in job.replies()] == ["web1"]


@pytest.mark.spec("S0-02")
def test_a_call_in_the_background_gives_the_job_at_once(config: Path, server: FakeServer) -> None:
    """As the seed spells it; web3 would never reply."""
    job = client(config, "web3").test(count=2, schedule="background")

    assert str(job) in server.jobs
    assert server.jobs[str(job)].request.data == {"count": 2}
    assert server.jobs[str(job)].request.not_before is None


@pytest.mark.spec("S0-02")
def test_a_call_for_a_time_gives_the_job_at_once(config: Path, server: FakeServer) -> None:
    at = datetime(2036, 12, 1, 4, tzinfo=UTC)
    rpc = client(config, "web1")

    jobs = [
        rpc.test(count=2, schedule="2036-12-01T04:00:00Z"),
        rpc.schedule(at=at).test(count=2),
        rpc.schedule(at="2036-12-01 05:00:00+01:00").action("test")(count=2),
    ]

    assert [server.jobs[job.id].request.not_before for job in jobs] == [at, at, at]


@pytest.mark.parametrize("at", ["tomorrow", datetime(2036, 12, 1, 4)])  # noqa: DTZ001  that is it
def test_a_time_that_cannot_be_meant_is_refused(config: Path, at: datetime | str) -> None:
    with pytest.raises(InvalidTime):
        client(config, "web1").schedule(at=at)


def test_waiting_has_a_limit(config: Path) -> None:
    job = client(config, "web3").submit("ping")

    assert not job.wait(0.05)
    assert job.state is State.QUEUED


@pytest.mark.parametrize(
    ("action", "inputs", "error", "text"),
    [
        ("pin", {}, UnknownAction, "ping"),
        ("get_fact", {}, MissingInput, "fact"),
        ("get_fact", {"fact": "os", "colour": 1}, InvalidInput, "colour"),
        ("test", {"count": "many"}, InvalidInput, "whole number"),
    ],
)
def test_what_the_interface_refuses_is_never_sent(
    config: Path, server: FakeServer, action: str, inputs: dict[str, object], error: type, text: str
) -> None:
    with pytest.raises(error, match=text):
        client(config, "web1").action(action)(**inputs)

    assert not server.bodies


def test_an_agent_is_asked_only_of_nodes_that_have_it(config: Path, server: FakeServer) -> None:
    """As in MCollective; nodes that were named are asked anyway, and say that they have it not."""
    rpcclient("rpcutil", facts={"os.name": "Debian", "cpus": 2}, config=config).submit("ping")
    client(config, "web1").submit("ping")

    targets = [job.request.target for job in server.jobs.values()]
    assert [target.agents for target in targets] == [("rpcutil",), ()]
    assert targets[0].facts == ("os.name=Debian", "cpus=2")


def test_a_target_that_cannot_be_read_is_refused_at_once(config: Path) -> None:
    with pytest.raises(InvalidTarget):
        rpcclient("rpcutil", compound="( web", config=config)


def test_a_target_that_picks_nothing_says_so(config: Path) -> None:
    with pytest.raises(Problem, match="web9") as caught:
        client(config, "web9").ping()

    assert caught.value.document["code"] == NoNodes.code


@pytest.mark.spec("S1-10")
def test_a_call_that_was_not_submitted_has_no_state_and_is_no_job(
    config: Path, server: FakeServer
) -> None:
    """Its id is known before, so that it can be asked for again."""
    call = Call(agent="rpcutil", action="ping", data={}, target=Target(identities=("web1",)))

    assert call.state is None
    assert not server.jobs
    fleet = Fleet.connect(config)
    job = Job(fleet, submit(fleet, call))
    assert job.id == call.id
    assert job.state is not None


def test_the_interface_is_asked_for_once(config: Path, server: FakeServer) -> None:
    rpc = client(config, "web1")
    rpc.submit("ping")
    rpc.submit("ping")

    assert sum("agents" in address for address in server.asked) == 1
    assert "get_fact" in dir(rpc)


def test_an_expired_run_replies_that_it_expired(config: Path, server: FakeServer) -> None:
    """Its node said nothing; the caller hears why all the same."""
    job = client(config, "web3").submit("ping")
    server.end_run(server.jobs[job.id], "web3", {"state": "expired", "reason": "start_before"})

    [reply] = job.replies(5)

    assert (reply.statuscode, reply.statusmsg) == (1, "expired: start_before")


def test_the_door_can_be_found_and_nothing_else_can() -> None:
    assert fleetjobs.client.rpcclient is rpcclient
    with pytest.raises(AttributeError):
        _ = fleetjobs.rpcclint
    with pytest.raises(AttributeError):
        _ = fleetjobs.client.rpcclint


def test_the_version_is_the_packages() -> None:
    assert fleetjobs.__version__ == version("fleetjobs")


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import fleetjobs, sys; print([m for m in sys.modules if 'fleetjobs.' in m])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
