"""Jobs for later, and what can be done to them, from Python."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from fleetjobs import rpcclient
from fleetjobs.client.conditions import make_conditions, read_after
from fleetjobs.client.jobs import Job
from fleetjobs.client.rpc import RpcClient
from fleetjobs.documents import decode, encode
from fleetjobs.errors import InvalidDocument, InvalidSetting, InvalidTime, Problem
from fleetjobs.requests import Request
from fleetjobs.signing import SERVER, SigningKey, account_key_id, unseal
from fleetjobs.states import StartIf, State
from tests.fake_fleet import RPCUTIL, FakeNode, ok, silent
from tests.fake_server import FakeServer

NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
ID = "0199c1f0-0000-7000-8000-000000000000"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    nodes = [
        FakeNode(name="web1", outcome=silent),
        FakeNode(name="web2", outcome=silent, alive=False),
        FakeNode(name="web3", outcome=ok(pong=1)),
    ]
    with FakeServer(nodes) as server:
        yield server


@pytest.fixture
def rpcutil(server: FakeServer, tmp_path: Path) -> RpcClient:
    return rpcclient("rpcutil", config=server.profile(tmp_path / "client.toml"))


def newest(server: FakeServer) -> Request:
    """The request that came last."""
    return list(server.jobs.values())[-1].request


@pytest.mark.spec("S0-02")
def test_schedule_gives_jobs_instead_of_replies(rpcutil: RpcClient, server: FakeServer) -> None:
    job = rpcutil.schedule(at="2030-12-01T04:00:00Z", retries=2).get_fact(fact="os")

    asked = newest(server)
    assert isinstance(job, Job)
    assert (job.id, asked.action, asked.data) == (asked.id, "get_fact", {"fact": "os"})
    assert asked.not_before == datetime(2030, 12, 1, 4, tzinfo=UTC)
    assert asked.start_before == datetime(2030, 12, 1, 5, tzinfo=UTC)
    assert asked.retries == 2


@pytest.mark.spec("S0-02")
@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        ("background", None),
        ("2030-12-01T04:00:00Z", datetime(2030, 12, 1, 4, tzinfo=UTC)),
        (datetime(2030, 12, 1, 4, tzinfo=UTC), datetime(2030, 12, 1, 4, tzinfo=UTC)),
        ({"at": "2030-12-01T04:00:00Z"}, datetime(2030, 12, 1, 4, tzinfo=UTC)),
    ],
)
def test_the_spelling_of_simplerpcs_authors_works(
    rpcutil: RpcClient, server: FakeServer, schedule: object, due: datetime | None
) -> None:
    job = rpcutil.ping(schedule=schedule)

    assert isinstance(job, Job)
    assert (newest(server).not_before, newest(server).data) == (due, {})


def test_an_input_that_is_called_schedule_is_an_input(
    rpcutil: RpcClient, server: FakeServer
) -> None:
    document = json.loads(json.dumps(RPCUTIL))
    text = {"prompt": "x", "description": "x", "type": "string", "optional": True}
    document["actions"][0]["input"]["schedule"] = text | {"validation": ".", "maxlength": 20}
    server.interfaces["rpcutil"] = document

    rpcutil.ping(schedule="weekly").close()

    assert newest(server).data == {"schedule": "weekly"}


@pytest.mark.parametrize("schedule", ["soon", 7, {"when": "now"}, None])
def test_a_schedule_that_makes_no_sense_is_refused(
    rpcutil: RpcClient, server: FakeServer, schedule: object
) -> None:
    with pytest.raises(InvalidTime):
        rpcutil.ping(schedule=schedule)

    assert not server.jobs


@pytest.mark.spec("S0-09")
def test_a_job_waits_for_handles_and_for_ids(rpcutil: RpcClient, server: FakeServer) -> None:
    first = rpcutil.submit("ping")

    rpcutil.schedule(after=first).ping()
    assert [after.job for after in newest(server).after] == [first.id]

    rpcutil.schedule(after=[first, f"{first.id}@web1:always"]).ping()
    assert [(after.node, after.when) for after in newest(server).after] == [
        (None, StartIf.SUCCEEDED),
        ("web1", StartIf.ALWAYS),
    ]


@pytest.mark.parametrize("text", ["x", f"{ID}:maybe", f"{ID}@", f"{ID}:"])
def test_a_dependency_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InvalidDocument):
        read_after(text)


def test_conditions_have_their_defaults() -> None:
    """A time brings a limit with it; nothing else does."""
    assert make_conditions(NOW).start_before is None
    assert make_conditions(NOW, delay=60).start_before == NOW + timedelta(minutes=61)
    assert make_conditions(NOW, at="04:00", start_before="never").keep


def test_conditions_that_contradict_one_another_are_refused() -> None:
    with pytest.raises(InvalidTime, match="exclude"):
        make_conditions(NOW, at="+1h", delay=5)
    with pytest.raises(InvalidTime, match="no time"):
        make_conditions(NOW, at="+2h", start_before="+1h")
    with pytest.raises(InvalidTime, match="no zone"):
        make_conditions(NOW, at=datetime(2030, 1, 1))  # noqa: DTZ001  that is the point


@pytest.mark.spec("S1-24")
def test_a_handle_cancels_and_says_whether_it_is_confirmed(rpcutil: RpcClient) -> None:
    job = rpcutil.submit("ping")

    assert job.cancel("web1")
    assert not job.cancel()  # web2 is away

    assert job.state is State.CANCELLED


def test_a_handle_passes_verbs_on(rpcutil: RpcClient, server: FakeServer) -> None:
    job = rpcutil.submit("ping")

    job.hold(["web1"])
    job.release()
    job.cancel(force=True)
    job.resolve("failed", "web2")
    again = job.rerun()

    assert server.told == [
        ("hold", {"target": {"identities": ["web1"]}}),
        ("release", {}),
        ("cancel", {"force": True}),
        ("resolve", {"target": {"identities": ["web2"]}, "as": "failed"}),
        ("rerun", {"id": again.id}),
    ]


@pytest.mark.spec("S0-05")
def test_an_edit_changes_what_was_named_and_nothing_else(
    rpcutil: RpcClient, server: FakeServer
) -> None:
    job = rpcutil.submit("test", count=1, secret="x", at="2030-12-01T04:00:00Z")  # noqa: S106  made up

    assert job.edit(data={"count": 2}, at="2030-12-02T04:00:00Z", start_before="never")

    assert newest(server).data == {"count": 2, "secret": "x"}
    assert newest(server).not_before == datetime(2030, 12, 2, 4, tzinfo=UTC)
    assert json.loads(server.bodies[-1][1])["start_before"] == "never"


def test_an_edit_of_what_somebody_changed_meanwhile_is_refused(
    rpcutil: RpcClient, server: FakeServer
) -> None:
    job = rpcutil.submit("test", count=1)
    server.jobs[job.id].version += 1

    with pytest.raises(Problem) as refusal:
        job.edit(data={"count": 2})

    assert refusal.value.status == 412


def signed(server: FakeServer, directory: Path) -> tuple[RpcClient, SigningKey]:
    """A client whose profile has a key."""
    key = SigningKey.generate(account_key_id("ann"))
    key.save(directory / "ann.pem")
    server.key = key.verify_key
    profile = server.profile(directory / "client.toml")
    profile.write_text(profile.read_text() + 'account = "ann"\norg = "acme"\nkey = "ann.pem"\n')
    return rpcclient("rpcutil", config=profile), key


def test_what_was_signed_is_signed_again_when_it_is_edited(
    server: FakeServer, tmp_path: Path
) -> None:
    """From the request as it was signed: there the secrets are."""
    rpcutil, key = signed(server, tmp_path)
    job = rpcutil.submit("test", count=1, secret="x")  # noqa: S106  made up
    server.sealed[job.id] = server.bodies[-1][1]

    job.edit(data={"count": 2}, start_before="never")

    kind, body = server.bodies[-1]
    _, payload = unseal(body.decode(), {key.id: key.verify_key})
    request = decode(Request, payload)
    assert kind == "application/jose"
    assert (request.id, request.data) == (job.id, {"count": 2, "secret": "x"})
    assert (request.start_before, request.keep) == (None, True)


def test_what_others_signed_is_not_signed_by_us(server: FakeServer, tmp_path: Path) -> None:
    """The server signs it then."""
    rpcutil, _ = signed(server, tmp_path)
    job = rpcutil.submit("test", count=1)
    by_server = SigningKey.generate(SERVER)
    server.sealed[job.id] = by_server.seal(encode(newest(server))).encode()

    job.edit(data={"count": 2})

    assert server.bodies[-1][0] == "application/json"


def test_a_server_cannot_have_us_sign_another_request(server: FakeServer, tmp_path: Path) -> None:
    """Such as one we once signed, under a name that is edited now."""
    rpcutil, key = signed(server, tmp_path)
    job = rpcutil.submit("test", count=1)
    other = msgspec.structs.replace(newest(server), id=ID)
    server.sealed[job.id] = key.seal(encode(other)).encode()

    with pytest.raises(InvalidSetting, match="nothing was signed"):
        job.edit(data={"count": 2})


def test_live_tells_who_did_not_answer(rpcutil: RpcClient) -> None:
    found = rpcutil.submit("ping").live()

    assert [item["node"] for item in found["items"]] == ["web1", "web3"]
    assert found["silent"] == ["web2"]
