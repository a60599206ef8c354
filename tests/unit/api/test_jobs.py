"""Submitting jobs and looking at them."""

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event
from starlette.testclient import TestClient
from uuid_utils import uuid7

from fleetjobs.api.watch import Watch
from fleetjobs.documents import encode
from fleetjobs.names import JobId
from fleetjobs.requests import Request
from fleetjobs.signing import SigningKey, account_key_id, unseal
from fleetjobs.states import State
from fleetjobs.store.jobs import get_job
from fleetjobs.targets import Target
from tests.api_house import NODES, House
from tests.processes import wait_for
from tests.unit.api.conftest import Submit

JOSE = {"Content-Type": "application/jose"}


def request(**changes: Any) -> Request:
    """A ping of all nodes, by ann."""
    fields: dict[str, Any] = {
        "id": str(uuid7()),
        "org": "acme",
        "caller": "ann",
        "agent": "rpcutil",
        "action": "ping",
        "data": {},
        "target": Target(),
        "created_at": datetime.now(UTC),
    }
    return Request(**{**fields, **changes})


def test_a_stream_tells_at_once_of_a_job_that_is_over_when_it_is_accepted(
    house: House, ann: TestClient, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing will happen to it any more for which a bell would ring."""

    async def wait(*_: object) -> None:
        raise AssertionError("it waits for a bell")

    monkeypatch.setattr(Watch, "wait", wait)
    earlier = submit(["web1"])
    house.reply(earlier["id"], "web1", state=State.FAILED, statuscode=1)
    wish = {"agent": "rpcutil", "action": "ping", "after": [{"job": earlier["id"]}]}

    told = ann.post("/api/v1/jobs", json=wish, headers={"Accept": "text/event-stream"}).text

    assert "event: job\n" in told
    assert told.rstrip().rpartition("event: ")[2].startswith("end")


def test_one_request_uses_what_another_has_read_of_interfaces(house: House, submit: Submit) -> None:
    """To read an interface anew took longer than all else that accepting a ping takes."""
    submit()
    asked: list[str] = []
    engine = house.database._engine
    event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2]))

    submit()

    assert any("INSERT INTO jobs" in said for said in asked)
    assert not [said for said in asked if "interfaces.document" in said]


@pytest.mark.spec("S4-02")
def test_a_plain_request_is_accepted_with_its_location(ann: TestClient) -> None:
    """202, the job as the body, and where it is found."""
    answer = ann.post("/api/v1/jobs", json={"agent": "rpcutil", "action": "ping"})

    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/v1/jobs/{job['id']}"
    assert (job["state"], job["wait_reason"], job["nodes"]) == ("waiting", "outbox", 3)
    assert (job["org"], job["caller"], job["tally"]) == ("acme", "ann", {"waiting": 3})
    assert ann.get(answer.headers["location"]).json() == job


def test_what_has_no_key_is_sealed_by_the_server(house: House, submit: Submit) -> None:
    """Nodes see whose word it is."""
    job = submit()

    with house.database.reading() as connection:
        kept = get_job(connection, job["id"], org="acme")
    assert kept is not None
    key_id, _ = unseal(kept.sealed, {"server": house.app.state.desk.key.verify_key})
    assert key_id == "server"


def test_a_request_travels_on_as_the_caller_sealed_it(house: House, ann: TestClient) -> None:
    """Not a byte is changed."""
    asked = request()
    sealed = house.key.seal(encode(asked))

    answer = ann.post("/api/v1/jobs", content=sealed, headers=JOSE)

    assert (answer.status_code, answer.json()["id"]) == (202, asked.id)
    with house.database.reading() as connection:
        kept = get_job(connection, answer.json()["id"], org="acme")
    assert kept is not None
    assert kept.sealed == sealed


@pytest.mark.spec("S2-10")
@pytest.mark.parametrize(
    ("changes", "code"),
    [({"org": "other"}, "denied"), ({"caller": "olaf"}, "denied")],
)
def test_nobody_signs_for_someone_else(
    house: House, ann: TestClient, changes: dict[str, str], code: str
) -> None:
    """Org and caller are those of the token."""
    sealed = house.key.seal(encode(request(**changes)))

    answer = ann.post("/api/v1/jobs", content=sealed, headers=JOSE)

    assert (answer.status_code, answer.json()["code"]) == (403, code)


def test_a_signature_by_another_key_is_refused(ann: TestClient) -> None:
    """Even if it claims to be the caller's."""
    stranger = SigningKey.generate(account_key_id("ann"))

    answer = ann.post("/api/v1/jobs", content=stranger.seal(encode(request())), headers=JOSE)

    assert (answer.status_code, answer.json()["code"]) == (403, "unauthentic")


def test_an_account_without_a_key_cannot_send_signed_requests(house: House) -> None:
    """There is nothing to check them by."""
    sealed = SigningKey.generate(account_key_id("olaf")).seal(encode(request(caller="olaf")))

    answer = house.client("olaf").post("/api/v1/jobs", content=sealed, headers=JOSE)

    assert (answer.status_code, answer.json()["code"]) == (403, "unauthentic")


@pytest.mark.spec("S3-19")
@pytest.mark.parametrize("by", ["id", "key"])
def test_the_same_request_again_is_the_same_job(ann: TestClient, by: str) -> None:
    """By its id or by an Idempotency-Key; 200 instead of 202."""
    wish = {"agent": "rpcutil", "action": "ping", **({"id": str(uuid7())} if by == "id" else {})}
    headers = {"Idempotency-Key": "deploy 17"} if by == "key" else {}

    first = ann.post("/api/v1/jobs", json=wish, headers=headers)
    again = ann.post("/api/v1/jobs", json=wish, headers=headers)

    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json() == again.json()
    assert len(ann.get("/api/v1/jobs").json()["items"]) == 1


@pytest.mark.spec("S3-19")
def test_an_id_used_for_something_else_is_a_conflict(ann: TestClient) -> None:
    """409, and nothing is stored."""
    headers = {"Idempotency-Key": "k"}
    ann.post("/api/v1/jobs", json={"agent": "rpcutil", "action": "ping"}, headers=headers)

    other = {"agent": "rpcutil", "action": "get_fact", "data": {"fact": "cpus"}}
    answer = ann.post("/api/v1/jobs", json=other, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_an_idempotency_key_is_each_accounts_own(house: House, ann: TestClient) -> None:
    """Two accounts that hit upon the same key get two jobs."""
    wish, headers = {"agent": "rpcutil", "action": "ping"}, {"Idempotency-Key": "k"}

    first = ann.post("/api/v1/jobs", json=wish, headers=headers)
    second = house.client("olaf").post("/api/v1/jobs", json=wish, headers=headers)

    assert second.status_code == 202
    assert first.json()["id"] != second.json()["id"]


@pytest.mark.spec("S2-24")
@pytest.mark.parametrize(
    ("wish", "status", "code"),
    [
        ({"agent": "shell", "action": "run"}, 404, "unknown_agent"),
        ({"agent": "rpcutil", "action": "reboot"}, 404, "unknown_action"),
        ({"agent": "rpcutil", "action": "get_fact"}, 422, "missing_input"),
        ({"agent": "rpcutil", "action": "ping", "data": {"x": 1}}, 422, "invalid_input"),
        ({"agent": "rpcutil", "action": "ping", "target": {"facts": ["="]}}, 422, "invalid_target"),
        (
            {"agent": "rpcutil", "action": "ping", "target": {"identities": ["nobody"]}},
            422,
            "no_nodes",
        ),
        (
            {"agent": "rpcutil", "action": "ping", "start_before": "2020-01-01T00:00:00Z"},
            422,
            "invalid_time",
        ),
        ({"agent": "rpcutil", "action": "ping", "nodes": "all"}, 422, "invalid_document"),
        ({"agent": 7, "action": "ping"}, 422, "invalid_document"),
        ({"agent": "rpcutil"}, 422, "invalid_document"),
    ],
)
def test_what_cannot_be_done_is_refused_and_not_kept(
    ann: TestClient, wish: dict[str, Any], status: int, code: str
) -> None:
    """With a problem document whose code says why."""
    answer = ann.post("/api/v1/jobs", json=wish)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ann.get("/api/v1/jobs").json()["items"] == []


def test_an_ill_typed_field_is_named(ann: TestClient) -> None:
    """So that a form can point at it."""
    answer = ann.post("/api/v1/jobs", json={"agent": "rpcutil", "action": "ping", "data": []})

    assert answer.json()["field"] == "data"


def test_a_viewer_may_look_and_not_submit(house: House) -> None:
    """Roles: viewer, operator, admin."""
    client = house.client("vera")

    assert client.get("/api/v1/jobs").status_code == 200
    answer = client.post("/api/v1/jobs", json={"agent": "rpcutil", "action": "ping"})
    assert (answer.status_code, answer.json()["code"]) == (403, "denied")


@pytest.mark.spec("S4-18")
def test_another_orgs_job_does_not_exist(house: House, submit: Submit) -> None:
    """G9: under no address, and in no list."""
    job = submit()
    eve = house.client("eve")

    for path in ("", "/wait", "/runs", "/runs/web1", "/runs/web1/logs/stdout", "/events"):
        answer = eve.get(f"/api/v1/jobs/{job['id']}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    assert eve.get("/api/v1/jobs", params={"ids": job["id"]}).json()["items"] == []
    assert eve.get("/api/v1/events").json()["items"] == []
    assert eve.get("/api/v1/jobs").json()["items"] == []
    assert not any(eve.get("/api/v1/status").json()["jobs"].values())


def test_another_orgs_nodes_are_out_of_reach(house: House) -> None:
    """An empty target means the org's own; a foreign name is one that does not exist."""
    eve = house.client("eve")
    wish = {"agent": "rpcutil", "action": "ping"}

    assert eve.post("/api/v1/jobs", json=wish).json()["nodes"] == 1
    answer = eve.post("/api/v1/jobs", json={**wish, "target": {"identities": ["web1"]}})
    assert (answer.status_code, answer.json()["code"]) == (422, "no_nodes")


def test_a_job_for_later_is_scheduled(submit: Submit) -> None:
    """And says when."""
    later = datetime.now(UTC) + timedelta(hours=3)

    job = submit(not_before=later.isoformat())

    assert job["state"] == "scheduled"
    assert datetime.fromisoformat(job["not_before"]) == later


@pytest.mark.spec("S4-19")
def test_filters_compose(house: House, ann: TestClient, submit: Submit) -> None:
    """State, agent, action, caller, node, ids, and times; lists by comma or repetition."""
    ended, live = submit(["web1"]), submit(["web2"])
    house.reply(ended["id"], "web1")

    def found(**filters: Any) -> set[str]:
        answer = ann.get("/api/v1/jobs", params=filters)
        assert answer.status_code == 200, answer.text
        return {job["id"] for job in answer.json()["items"]}

    both = {ended["id"], live["id"]}
    assert found(state="succeeded,failed") == {ended["id"]}
    assert found(state=["waiting", "succeeded"]) == both
    assert found(agent="rpcutil", action="ping", caller="me", node="web2") == {live["id"]}
    assert found(caller="olaf") == set() == found(creator="olaf")
    assert found(ids=",".join(both), state="waiting") == {live["id"]}
    assert (
        found(creator="me", ids=",".join(both), state="waiting,succeeded", sort="-created") == both
    )
    assert found(since="2020-01-01T00:00:00Z", until="2020-01-02T00:00:00Z") == set()
    assert found(attention="true") == set()


@pytest.mark.spec("S4-16")
def test_pages_have_no_gap_and_no_repetition_while_jobs_arrive(
    ann: TestClient, submit: Submit
) -> None:
    """The cursor is a place in the list, not a number of rows."""
    before = [submit()["id"] for _ in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = ann.get("/api/v1/jobs", params=params).json()
        seen += [job["id"] for job in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
        submit()

    assert seen == before[::-1]
    assert len(ann.get("/api/v1/jobs", params={"limit": 10**6}).json()["items"]) > len(before)
    assert [job["id"] for job in ann.get("/api/v1/jobs?sort=created").json()["items"]][:5] == before


@pytest.mark.spec("S3-24")
def test_wait_gives_the_job_as_it_stands_when_the_time_is_over(
    ann: TestClient, submit: Submit
) -> None:
    """202: it has not ended."""
    job = submit()

    answer = ann.get(f"/api/v1/jobs/{job['id']}/wait", params={"timeout": 0.05})

    assert (answer.status_code, answer.json()["state"]) == (202, "waiting")


@pytest.mark.spec("S3-24")
def test_wait_returns_as_soon_as_the_job_ends(
    house: House, ann: TestClient, submit: Submit
) -> None:
    """Woken by a bell, not by looking again."""
    job = submit()
    replying = threading.Timer(0.2, house.reply, (job["id"], *NODES))
    replying.start()

    answer = ann.get(f"/api/v1/jobs/{job['id']}/wait", params={"timeout": 20})

    replying.join()
    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
    assert answer.json()["completion"] == "full"


def test_wait_does_not_keep_a_server_that_is_to_end(
    house: House, ann: TestClient, submit: Submit
) -> None:
    """The caller learns how the job stands, and may ask another server."""
    job = submit()
    ending = threading.Timer(0.2, house.app.state.desk.watch.end)
    ending.start()

    answer = ann.get(f"/api/v1/jobs/{job['id']}/wait", params={"timeout": 60})

    ending.join()
    assert (answer.status_code, answer.json()["state"]) == (202, "waiting")


@pytest.mark.spec("S4-21")
def test_a_caller_may_prefer_to_wait(house: House, ann: TestClient) -> None:
    """`Prefer: wait=N`: 200 with the ended job."""
    name = str(uuid7())
    wish = {"id": name, "agent": "rpcutil", "action": "ping", "target": {"identities": ["web1"]}}

    def is_kept() -> bool:
        with house.database.reading() as connection:
            return get_job(connection, JobId(name), org="acme") is not None

    def reply() -> None:
        wait_for(is_kept, within=20)
        house.reply(name, "web1", state=State.FAILED)

    replying = threading.Thread(target=reply)
    replying.start()

    answer = ann.post("/api/v1/jobs", json=wish, headers={"Prefer": "respond-async, wait=20"})

    replying.join()
    assert (answer.status_code, answer.json()["state"]) == (200, "failed")
    assert answer.headers["preference-applied"] == "wait=20"


def test_secrets_are_masked(ann: TestClient, submit: Submit) -> None:
    """In the answer, in lists and in events."""
    job = submit(action="test", data={"secret": "hunter2"})

    assert job["data"] == {"secret": "***"}
    for path in ("/api/v1/jobs", f"/api/v1/jobs/{job['id']}", "/api/v1/events"):
        assert "hunter2" not in json.dumps(ann.get(path).json())


@pytest.mark.spec("S2-08")
@pytest.mark.parametrize(
    ("data", "place"), [({"fact": 1}, "data.fact"), ({}, "data.fact"), ({"x": 1}, "data.x")]
)
def test_a_wrong_input_is_answered_with_its_place(
    ann: TestClient, data: dict[str, Any], place: str
) -> None:
    wish = {"agent": "rpcutil", "action": "get_fact", "data": data}

    job = ann.post("/api/v1/jobs", json=wish)
    plan = ann.post("/api/v1/plans", json={"plan": {"legs": [wish | {"key": "ask"}]}})

    assert (job.status_code, job.json()["field"]) == (422, place)
    assert (plan.status_code, plan.json()["field"]) == (422, f"legs.ask.{place}")
