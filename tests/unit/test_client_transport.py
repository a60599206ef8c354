"""What the transport makes of servers that refuse, are away, or are something else."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetjobs.client.asking import Call, submit
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.profile import Profile
from fleetjobs.client.transport import Transport
from fleetjobs.errors import DatabaseAway, InvalidSetting, Problem, ServerAway, UnknownAgent
from fleetjobs.signing import SigningKey
from fleetjobs.targets import Target
from tests.fake_fleet import FakeNode, ok
from tests.fake_http import TOKEN
from tests.fake_server import FakeServer


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer([FakeNode(name=f"web{number}", outcome=ok()) for number in (1, 2)]) as server:
        yield server


def fleet_of(server: FakeServer, token: str = TOKEN) -> Fleet:
    return Fleet(Transport(Profile(url=server.url, token=token)))


def a_call() -> Call:
    return Call(agent="rpcutil", action="ping", data={}, target=Target())


def test_a_refusal_carries_status_and_detail(server: FakeServer) -> None:
    with pytest.raises(Problem, match="unknown, expired or revoked") as caught:
        fleet_of(server, "fjt_wrong").status()

    assert caught.value.status == 401
    assert caught.value.document["code"] == "unauthenticated"


def test_nobody_listening_is_told_in_plain_words() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(ServerAway, match="connection refused") as caught:
            Fleet(Transport(Profile(url=url, token=""))).status()

    assert url in str(caught.value)


@pytest.mark.parametrize("url", ["http://", "http://[::1", "http://127.0.0.1:99999"])
def test_a_url_that_names_no_host_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(InvalidSetting, match="url"):
        Transport(Profile(url=url, token="", origin="client.toml"))


def test_a_connection_the_server_closed_meanwhile_is_opened_again(server: FakeServer) -> None:
    fleet = fleet_of(server)
    fleet.status()
    server.cut()

    assert fleet.status()["state"] == "ok"


def test_names_travel_quoted(server: FakeServer) -> None:
    with pytest.raises(Problem):
        fleet_of(server).node("../agents/é?x=1")

    assert server.asked == ["GET /api/v1/nodes/..%2Fagents%2F%C3%A9%3Fx%3D1"]


def test_an_unknown_agent_is_answered_with_those_like_it(server: FakeServer) -> None:
    with pytest.raises(UnknownAgent, match="did you mean rpcutil"):
        fleet_of(server).agent("rpcutl")


def test_a_request_is_sent_again_while_the_database_is_away(server: FakeServer) -> None:
    server.problems += [DatabaseAway("away"), DatabaseAway("away")]
    pauses: list[float] = []

    job = submit(fleet_of(server), a_call(), pause=pauses.append)

    assert len(pauses) == 2
    assert list(server.jobs) == [job["id"]]


def test_a_request_that_is_refused_is_not_sent_again(server: FakeServer) -> None:
    call = Call(agent="rpcutil", action="ping", data={"x": 1}, target=Target())

    with pytest.raises(Problem, match="no input"):
        submit(fleet_of(server), call, pause=lambda _: pytest.fail("sent again"))


def test_with_a_key_the_caller_signs(server: FakeServer, tmp_path: Path) -> None:
    key = SigningKey.generate("account:ann")
    key.save(tmp_path / "ann.pem")
    server.key = key.verify_key
    path = tmp_path / "client.toml"
    path.write_text(
        f'url = "{server.url}"\ntoken = "{TOKEN}"\naccount = "ann"\norg = "acme"\nkey = "ann.pem"\n'
    )

    job = submit(Fleet.connect(path), a_call())

    assert job["caller"] == "ann"
    assert [kind for kind, _ in server.bodies] == ["application/jose"]


def test_without_a_key_the_server_is_asked_to_sign(server: FakeServer) -> None:
    submit(fleet_of(server), a_call())

    assert [kind for kind, _ in server.bodies] == ["application/json"]


def test_long_lists_are_read_page_by_page(server: FakeServer) -> None:
    fleet = fleet_of(server)
    for _ in range(3):
        submit(fleet, a_call())

    assert len(list(fleet.jobs(most=2))) == 2
    assert len(list(fleet.pages("jobs"))) == 3
