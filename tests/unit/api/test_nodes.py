"""Nodes, agents, and how the fleet is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from fleetjobs.messages import Beat
from fleetjobs.signing import SigningKey, node_key_id
from fleetjobs.store.handovers import mark_queued, runs_to_dispatch
from fleetjobs.store.leases import LEADER, drop_lease, take_lease
from fleetjobs.store.nodes import save_beats
from tests.api_house import NODES, House, beat
from tests.unit.api.conftest import Submit


def lead(house: House, span: timedelta = timedelta(minutes=5)) -> None:
    """A coordinator takes the lease, for that long."""
    with house.database.transaction() as connection:
        assert take_lease(connection, LEADER, "host:1", datetime.now(UTC), span)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, [*NODES]),
        ({"identity": ["web1", "web3"]}, ["web1", "web3"]),
        ({"identity": "/2$/"}, ["web2"]),
        ({"fact": "os.name=Debian", "class": "web"}, [*NODES]),
        ({"fact": "cpus>2"}, []),
        ({"agent": "rpcutil", "limit": "2"}, ["web1", "web2"]),
        ({"compound": "web and not cpus>2"}, [*NODES]),
    ],
)
def test_nodes_are_found_by_the_parts_of_a_target(
    ann: TestClient, query: dict[str, Any], names: list[str]
) -> None:
    """Those of the org alone."""
    answer = ann.get("/api/v1/nodes", params=query)

    assert answer.status_code == 200, answer.text
    assert [node["identity"] for node in answer.json()["items"]] == names


def test_a_node_shows_its_last_word(ann: TestClient) -> None:
    """Facts, classes, agents, and that it lives."""
    node = ann.get("/api/v1/nodes/web1").json()

    assert (node["alive"], node["org"], node["software"]) == (True, "acme", "0.1.0")
    assert node["facts"]["os"] == {"name": "Debian"}
    assert (node["classes"], node["agents"]) == (["web"], {"rpcutil": "1.0.0"})
    assert ann.get("/api/v1/nodes/foreign1").status_code == 404


@pytest.mark.spec("EA-03")
def test_the_agents_of_a_node_are_told_and_what_it_refused(house: House, ann: TestClient) -> None:
    with house.database.transaction() as connection:
        now = datetime.now(UTC)
        save_beats(connection, [beat("web1", now, {"wild": "it does not want to be here"})], now)

    found = ann.get("/api/v1/nodes/web1/agents").json()

    (agent,) = found["items"]
    assert (agent["name"], agent["provider"]) == ("rpcutil", "fleetjobs")
    assert "ping" in agent["actions"]
    assert found["refused"] == [{"name": "wild", "reason": "it does not want to be here"}]
    assert ann.get("/api/v1/nodes/web1").json()["refused"] == {
        "wild": "it does not want to be here"
    }
    assert ann.get("/api/v1/nodes/foreign1/agents").status_code == 404


def test_an_admin_enrolls_a_node_once(house: House, ann: TestClient) -> None:
    """201, then 200; with another key it is a conflict; others may not."""
    key = SigningKey.generate(node_key_id("new1")).verify_key.text
    other = SigningKey.generate(node_key_id("new1")).verify_key.text
    asked = {"identity": "new1", "verify_key": key}

    assert house.client("olaf").post("/api/v1/nodes", json=asked).status_code == 403
    answers = [ann.post("/api/v1/nodes", json=asked) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].headers["location"] == "/api/v1/nodes/new1"
    assert answers[0].json()["alive"] is False
    conflict = ann.post("/api/v1/nodes", json={**asked, "verify_key": other})
    assert (conflict.status_code, conflict.json()["code"]) == (409, "conflict")


@pytest.mark.parametrize("change", [{"identity": "../x"}, {"verify_key": "short"}, {"x": 1}])
def test_an_enrollment_that_makes_no_sense_is_refused(
    ann: TestClient, change: dict[str, Any]
) -> None:
    """422, and the node is unknown as before."""
    asked = {"identity": "new1", "verify_key": SigningKey.generate("x").verify_key.text}

    assert ann.post("/api/v1/nodes", json={**asked, **change}).status_code == 422
    assert ann.get("/api/v1/nodes/new1").status_code == 404


def test_agents_are_listed_with_where_they_are(ann: TestClient) -> None:
    """And one of them with its interface."""
    (agent,) = ann.get("/api/v1/agents").json()["items"]
    detail = ann.get("/api/v1/agents/rpcutil").json()

    assert (agent["name"], agent["version"], agent["nodes"]) == ("rpcutil", "1.0.0", 3)
    assert agent["versions"] == {"1.0.0": 3}
    assert {**agent, "interface": detail["interface"]} == detail
    assert detail["interface"]["metadata"]["name"] == "rpcutil"


@pytest.mark.spec("S1-26")
def test_status_counts_jobs_and_nodes(house: House, ann: TestClient, submit: Submit) -> None:
    """Of the org; and says where and what the server is."""
    lead(house)
    done = submit(["web1"])
    submit()
    house.reply(done["id"], "web1")

    status = ann.get("/api/v1/status").json()

    assert status["state"] == "ok"
    assert (status["jobs"]["succeeded"], status["jobs"]["waiting"]) == (1, 1)
    assert status["jobs"]["failed"] == status["attention"] == 0
    assert status["nodes"] == {"alive": 3, "silent": 0, "versions": {"0.1.0": 3}}
    assert {"hostname", "pid", "version"} <= status.keys()
    foreign = house.client("eve").get("/api/v1/status").json()
    assert (foreign["jobs"]["succeeded"], foreign["nodes"]["alive"]) == (0, 1)


@pytest.mark.spec("S1-34")
def test_status_says_when_jobs_do_not_reach_the_broker(
    house: House, ann: TestClient, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes them is away."""
    lead(house)
    submit()
    assert ann.get("/api/v1/status").json()["state"] == "ok"

    monkeypatch.setattr("fleetjobs.api.status.LATE", timedelta(0))

    status = ann.get("/api/v1/status").json()
    assert (status["state"], status["undelivered"]) == ("degraded", 3)


@pytest.mark.spec("S1-34")
def test_status_says_when_no_coordinator_leads(house: House, ann: TestClient) -> None:
    """Also when there is nothing to do: killed, or ended politely."""
    lead(house, timedelta(0))
    killed = ann.get("/api/v1/status").json()
    lead(house)
    back = ann.get("/api/v1/status").json()
    with house.database.transaction() as connection:
        drop_lease(connection, LEADER, "host:1")
    ended = ann.get("/api/v1/status").json()

    assert [found["state"] for found in (killed, back, ended)] == ["degraded", "ok", "degraded"]
    assert [found["coordinator"]["state"] for found in (killed, ended)] == ["away", "away"]


def test_probes_need_no_token(house: House) -> None:
    """They tell nothing."""
    client = TestClient(house.app)

    assert client.get("/api/v1/healthz").json() == {"status": "ok"}
    assert client.get("/api/v1/readyz").json() == {"status": "ok"}


def test_an_admin_takes_a_node_off(house: House, ann: TestClient, submit: Submit) -> None:
    """Not without force while it lives; its runs have failed then, and others may not."""
    job = submit(["web1"])
    assert house.client("olaf").delete("/api/v1/nodes/web1").status_code == 403
    conflict = ann.delete("/api/v1/nodes/web1")
    assert (conflict.status_code, conflict.json()["code"]) == (409, "conflict")

    answer = ann.delete("/api/v1/nodes/web1", params={"force": True})

    assert answer.json() == {"identity": "web1", "given_up": 1}
    assert ann.get("/api/v1/nodes/web1").status_code == 404
    assert ann.delete("/api/v1/nodes/web1").status_code == 404
    found = ann.get(f"/api/v1/jobs/{job['id']}").json()
    assert (found["state"], found["reason"]) == ("failed", "node_removed")
    kinds = [event["kind"] for event in ann.get("/api/v1/events").json()["items"]]
    assert "node.removed" in kinds


def test_a_node_that_beats_and_answers_nothing_is_warned_of(
    house: House, ann: TestClient, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its own document, in the list, and in the status; and no longer once it answers."""
    job = submit(["web1"])
    with house.database.transaction() as connection:
        now = datetime.now(UTC)
        due = runs_to_dispatch(connection, now, 10)
        mark_queued(connection, due, now, timedelta(minutes=1))
    assert ann.get("/api/v1/nodes/web1").json()["warnings"] == []

    monkeypatch.setattr("fleetjobs.api.warnings.UNANSWERED_AFTER", timedelta(0))

    (warning,) = ann.get("/api/v1/nodes/web1").json()["warnings"]
    assert (warning["node"], warning["code"]) == ("web1", "unanswered")
    assert ann.get("/api/v1/status").json()["warnings"] == [warning]
    listed = {node["identity"]: node for node in ann.get("/api/v1/nodes").json()["items"]}
    assert (listed["web1"]["warnings"], listed["web2"]["warnings"]) == ([warning], [])
    assert house.client("eve").get("/api/v1/status").json()["warnings"] == []
    house.begin(job["id"], "web1")
    assert ann.get("/api/v1/status").json()["warnings"] == []


def test_a_node_that_is_two_machines_is_warned_of(house: House, ann: TestClient) -> None:
    now = datetime.now(UTC)
    with house.database.transaction() as connection:
        for age, at in ((1, 0), (60, 30), (1, 60)):
            started_at, said_at = now - timedelta(minutes=age), now + timedelta(seconds=at)
            said = Beat(node="web1", at=said_at, started_at=started_at, software="0.1.0", slots=8)
            save_beats(connection, [said], now)

    node = ann.get("/api/v1/nodes/web1").json()

    assert [warning["code"] for warning in node["warnings"]] == ["twin"]


@pytest.mark.spec("S1-06")
def test_a_node_says_how_many_runs_it_takes_at_once(house: House, ann: TestClient) -> None:
    with house.database.transaction() as connection:
        now = datetime.now(UTC)
        said = Beat(node="web1", at=now, started_at=now, software="0.1.0", running=3, slots=8)
        save_beats(connection, [said], now)

    node = ann.get("/api/v1/nodes/web1").json()

    assert (node["running"], node["slots"]) == (3, 8)
