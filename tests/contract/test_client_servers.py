"""What the client relies on, asked of the real server and of the one its tests make up."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest
import uvicorn

from fleetjobs.client.asking import Call, follow, query_of, submit
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.jobs import Job
from fleetjobs.client.profile import Profile
from fleetjobs.client.transport import Transport
from fleetjobs.errors import Problem, UnknownAgent
from fleetjobs.signing import SigningKey
from fleetjobs.states import State
from fleetjobs.targets import make_target
from tests.api_house import make_house
from tests.fake_fleet import FakeNode, silent
from tests.fake_http import TOKEN
from tests.fake_server import FakeServer
from tests.processes import wait_for
from tests.tables import sqlite_url

NODES = ("web1", "web2", "web3")


@dataclass(frozen=True, kw_only=True)
class Side:
    """A server, asked by ann of acme, and a way to let its nodes reply."""

    fleet: Fleet
    reply: Callable[[str, str, State], None]

    def submit(self, *nodes: str, action: str = "ping", **data: object) -> Job:
        """Ask for an action on these nodes."""
        target = make_target(identities=nodes)
        call = Call(agent="rpcutil", action=action, data=data, target=target)
        return Job(self.fleet, submit(self.fleet, call))


def _profile(url: str, token: str, key_path: Path) -> Fleet:
    profile = Profile(url=url, token=token, account="ann", org="acme", key_path=key_path)
    return Fleet(Transport(profile))


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Side]:
    """The app, served on a port."""
    house = make_house(sqlite_url(tmp_path))
    house.key.save(tmp_path / "ann.pem")
    server = uvicorn.Server(uvicorn.Config(house.app, port=0, log_level="warning"))
    thread = Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started, within=20)
    port = server.servers[0].sockets[0].getsockname()[1]
    fleet = _profile(f"http://127.0.0.1:{port}", house.tokens["ann"], tmp_path / "ann.pem")
    yield Side(
        fleet=fleet,
        reply=lambda job, node, state: house.reply(job, node, state=state, data={"pong": 1}),
    )
    fleet.transport.close()
    server.should_exit = True
    thread.join(20)
    house.database.close()


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Side]:
    """The made-up one."""
    key = SigningKey.generate("account:ann")
    key.save(tmp_path / "ann.pem")
    facts = {"os": {"name": "Debian"}, "cpus": 2}
    nodes = [FakeNode(name=name, outcome=silent, facts=facts) for name in NODES]
    with FakeServer(nodes, key.verify_key) as server:

        def reply(job: str, node: str, state: State) -> None:
            bad = {"reason": "aborted"} if state is not State.SUCCEEDED else {}
            outcome = {"state": state, "statuscode": 0, "data": {"pong": 1}}
            server.end_run(server.jobs[job], node, outcome | bad)

        yield Side(fleet=_profile(server.url, TOKEN, tmp_path / "ann.pem"), reply=reply)


@pytest.fixture(params=["real", "fake"])
def side(request: pytest.FixtureRequest) -> Side:
    """Either of them."""
    found: Side = request.getfixturevalue(request.param)
    return found


def test_a_job_is_followed_to_its_end(side: Side) -> None:
    job = side.submit("web1", "web2")
    replies = job.replies(10)
    assert replies.next(0.05) is None

    side.reply(job.id, "web2", State.SUCCEEDED)
    first = next(replies)
    side.reply(job.id, "web1", State.FAILED)
    rest = list(replies)

    assert (first.sender, first.state, first.data) == ("web2", State.SUCCEEDED, {"pong": 1})
    assert [(reply.sender, reply.state, reply.reason) for reply in rest] == [
        ("web1", State.FAILED, "aborted")
    ]
    assert job.document["state"] == State.FAILED
    assert job.document["completion"] == "partial"


def test_a_call_is_followed_from_its_acceptance(side: Side) -> None:
    """One exchange where the server can tell both; asked again, the same job is told again."""
    target = make_target(identities=["web1", "web2"])
    call = Call(agent="rpcutil", action="ping", data={}, target=target)
    job = Job(side.fleet, *follow(side.fleet, call))
    replies = job.replies(10)
    assert (job.id, job.nodes) == (call.id, 2)
    assert replies.next(0.05) is None

    side.reply(job.id, "web2", State.SUCCEEDED)
    first = next(replies)
    side.reply(job.id, "web1", State.SUCCEEDED)
    again = Job(side.fleet, *follow(side.fleet, call))

    assert [first.sender, *(reply.sender for reply in replies)] == ["web2", "web1"]
    assert sorted(reply.sender for reply in again.replies(10)) == ["web1", "web2"]
    assert len(list(side.fleet.jobs())) == 1


def test_a_call_that_is_to_be_followed_is_refused_as_any_other(side: Side) -> None:
    call = Call(agent="rpcutil", action="ping", data={}, target=make_target(identities=["web9"]))

    with pytest.raises(Problem) as caught:
        follow(side.fleet, call)

    assert caught.value.document["code"] == "no_nodes"
    assert side.fleet.node("web1")["identity"] == "web1"


def test_replies_that_came_before_are_shown_too(side: Side) -> None:
    job = side.submit("web1")
    side.reply(job.id, "web1", State.SUCCEEDED)

    assert [reply.sender for reply in job.replies(10)] == ["web1"]


def test_who_did_not_reply_is_known_at_the_deadline(side: Side) -> None:
    job = side.submit("web1", "web2")
    side.reply(job.id, "web1", State.SUCCEEDED)
    replies = job.replies(3)

    assert [reply.sender for reply in replies] == ["web1"]
    assert replies.silent == ["web2"]


def test_waiting_ends_with_the_job(side: Side) -> None:
    job = side.submit("web1")
    assert not job.wait(0.1)

    side.reply(job.id, "web1", State.SUCCEEDED)

    assert job.wait(60)
    assert job.state is State.SUCCEEDED


def test_the_same_call_twice_is_one_job(side: Side) -> None:
    target = make_target(identities=["web1"])
    call = Call(agent="rpcutil", action="ping", data={}, target=target)

    first, second = submit(side.fleet, call), submit(side.fleet, call)

    assert first["id"] == second["id"] == call.id
    assert len(list(side.fleet.jobs())) == 1


def test_nodes_are_found_by_a_target(side: Side) -> None:
    target = make_target(facts=["os.name=Debian", "cpus>=2"], compound="web", limit=2)

    assert [node["identity"] for node in side.fleet.nodes(query_of(target))] == ["web1", "web2"]
    assert [node["identity"] for node in side.fleet.nodes()] == list(NODES)
    assert side.fleet.node("web1")["classes"] == ["web"]


def test_agents_are_told_with_their_interfaces(side: Side) -> None:
    assert [agent["name"] for agent in side.fleet.agents()] == ["rpcutil"]
    assert side.fleet.agent("rpcutil")["interface"]["metadata"]["name"] == "rpcutil"
    with pytest.raises(UnknownAgent, match="did you mean rpcutil"):
        side.fleet.agent("rpcutl")


def test_lists_come_page_by_page(side: Side) -> None:
    made = [side.submit("web1").id for _ in range(3)]

    assert [job["id"] for job in side.fleet.jobs(most=2)] == made[:0:-1]
    assert [job["id"] for job in side.fleet.jobs([("state", "succeeded")])] == []


@pytest.mark.parametrize(
    ("nodes", "action", "data", "code"),
    [
        (("web9",), "ping", {}, "no_nodes"),
        (("web1",), "pong", {}, "unknown_action"),
        (("web1",), "get_fact", {}, "missing_input"),
        (("web1",), "ping", {"x": 1}, "invalid_input"),
    ],
)
def test_a_refusal_has_a_code(
    side: Side, nodes: tuple[str, ...], action: str, data: dict[str, object], code: str
) -> None:
    with pytest.raises(Problem) as caught:
        side.submit(*nodes, action=action, **data)

    assert caught.value.document["code"] == code


def test_what_is_not_there_is_a_problem_404(side: Side) -> None:
    job = side.submit("web1")
    questions: list[Callable[[], object]] = [
        lambda: side.fleet.job("01a1fbfe-0fb0-73bc-bde9-1e45bc784c4e"),
        lambda: side.fleet.job("nope"),
        lambda: side.fleet.node("web9"),
        lambda: side.fleet.run(job.id, "web9"),
    ]
    for ask in questions:
        with pytest.raises(Problem) as caught:
            ask()
        assert caught.value.status == 404


def test_an_empty_log_is_empty(side: Side) -> None:
    job = side.submit("web1")
    side.reply(job.id, "web1", State.SUCCEEDED)

    content, headers = side.fleet.log(job.id, "web1", "stdout", [("offset", 0), ("limit", 10)])

    assert content == b""
    assert headers["x-log-size"] == "0"


def test_status_has_what_is_shown_of_it(side: Side) -> None:
    found = side.fleet.status()

    assert found["nodes"]["alive"] == 3
    assert {"state", "version", "hostname", "pid", "jobs", "attention"} <= set(found)
