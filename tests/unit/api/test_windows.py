"""Windows and pauses over HTTP: made, changed, foreseen, refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from fleetjobs.store.nodes import save_beats
from tests.api_house import House
from tests.makers import make_beat
from tests.unit.api.conftest import Submit

ROOT = "/api/v1/windows"
HOUR = timedelta(hours=1)


def wish(begin: datetime, lasts: timedelta = HOUR, **more: Any) -> dict[str, Any]:
    """A blackout named freeze."""
    opening = {"rule": {"at": [begin.isoformat()]}, "lasts_s": lasts.total_seconds()}
    return {"name": "freeze", "kind": "blackout", "openings": [opening], **more}


def test_a_window_is_made_shown_changed_and_deleted(ann: TestClient) -> None:
    now = datetime.now(UTC)

    made = ann.post(ROOT, json=wish(now - HOUR, 2 * HOUR))
    assert (made.status_code, made.json()["is_in"]) == (201, True)
    assert ann.post(ROOT, json=wish(now)).status_code == 409
    shown = ann.get(f"{ROOT}/freeze")
    assert shown.headers["etag"] == '"1"'
    (first,) = ann.get(f"{ROOT}/freeze/preview").json()["items"]
    assert datetime.fromisoformat(first["end"]) == now + HOUR

    changed = ann.put(f"{ROOT}/freeze", json=wish(now + HOUR), headers={"If-Match": '"1"'})
    assert (changed.json()["version"], changed.json()["is_in"]) == (2, False)
    again = ann.put(f"{ROOT}/freeze", json=wish(now + HOUR), headers={"If-Match": '"1"'})
    assert again.status_code == 412
    assert ann.delete(f"{ROOT}/freeze").status_code == 200
    assert ann.get(f"{ROOT}/freeze").status_code == 404
    assert ann.get(ROOT).json()["items"] == []


def test_what_stands_in_the_way_is_told_before_and_with_the_acceptance(
    ann: TestClient, submit: Submit
) -> None:
    now = datetime.now(UTC)
    assert submit(["web1"])["warnings"] == []
    ann.post(ROOT, json=wish(now - HOUR, 48 * HOUR))
    (warning,) = submit(["web1"])["warnings"]
    assert warning.startswith("web1: window freeze; it opens at ")
    assert warning.endswith("it will expire")
    ann.delete(f"{ROOT}/freeze")
    ann.put("/api/v1/pauses/node:web1")

    job = submit(["web1", "web2"])
    checked = ann.post("/api/v1/jobs/check", json={"agent": "rpcutil", "action": "ping"}).json()

    assert job["warnings"] == ["nothing begins on web1 until it is resumed"]
    assert checked["warnings"] == job["warnings"]
    assert checked["nodes"] == ["web1", "web2", "web3"]
    assert len(ann.get("/api/v1/jobs").json()["items"]) == 3


def test_what_stands_in_the_way_of_plans_and_templates_is_told(ann: TestClient) -> None:
    """Of their first legs: what has begun goes on."""
    begin = datetime.now(UTC) + 2 * HOUR
    ann.post(ROOT, json=wish(begin - HOUR, 3 * HOUR, target={"identities": ["web1"]}))
    first = {"key": "a", "agent": "rpcutil", "action": "ping", "target": {"identities": ["web1"]}}
    second = first | {"key": "b", "target": {"identities": ["web2"]}}
    body = {"plan": {"legs": [first, second]}, "not_before": begin.isoformat()}
    text = "name: two\nlegs:\n  - a: rpcutil.ping\n  - b: rpcutil.ping\n"
    ann.post("/api/v1/templates", json={"text": text})
    run = {"not_before": begin.isoformat(), "target": {"identities": ["web1"]}}

    plan = ann.post("/api/v1/plans", json=body).json()["warnings"]
    template = ann.post("/api/v1/templates/two/run", json=run).json()["warnings"]

    assert plan == ann.post("/api/v1/plans/check", json=body).json()["warnings"]
    assert (plan[0][:27], len(plan)) == ("leg a: web1: window freeze;", 1)
    assert (template[0][:20], len(template)) == ("web1: window freeze;", 1)


@pytest.mark.parametrize(("node", "skipped"), [("web1", True), ("web2", False)])
def test_a_schedules_times_that_clash_are_told_before_it_is_made(
    ann: TestClient,
    node: str,
    skipped: bool,  # noqa: FBT001  a case
) -> None:
    """A blackout has them skipped; outside of what is allowed they wait."""
    begin = datetime.now(UTC) + HOUR
    kind = "blackout" if skipped else "allowed"
    moment = begin if skipped else begin + 2 * HOUR
    ann.post(ROOT, json=wish(moment, HOUR, kind=kind, target={"identities": [node]}))
    target = {"identities": [node]}
    call = {"agent": "rpcutil", "action": "ping", "target": target}
    schedule = {"label": "s", "work": {"call": call}, "rule": {"at": [begin.isoformat()]}}

    checked = ann.post("/api/v1/schedules/check", json=schedule).json()
    assert ann.get("/api/v1/schedules/s").status_code == 404
    ann.post("/api/v1/schedules", json=schedule)

    (clash,) = checked["preview"]["clashes"]
    assert (checked["nodes"], clash["skipped"]) == ([node], skipped)
    assert (clash["text"] == "window freeze") is skipped
    assert ann.get("/api/v1/schedules/s/preview").json()["clashes"] == [clash]


@pytest.mark.parametrize(
    ("resolve", "how"), [("next", "next"), ("previous,cancel", "cancel"), ("cancel", "cancel")]
)
def test_jobs_give_way_by_the_first_wish_that_can_be_had(
    house: House, ann: TestClient, submit: Submit, resolve: str, how: str
) -> None:
    now = datetime.now(UTC)
    with house.database.transaction() as connection:
        save_beats(connection, [make_beat("web1", at=now)], now)
    opening = {"rule": {"at": [(now - HOUR).isoformat()]}, "lasts_s": 5 * 3600}
    late = {"rule": {"at": [(now + 9 * HOUR).isoformat()]}, "lasts_s": 5 * 3600}
    allowed = {"name": "nights", "kind": "allowed", "openings": [opening]}
    ann.post(ROOT, json=allowed)
    begin = now + 2 * HOUR
    times = {"not_before": begin.isoformat(), "start_before": (begin + HOUR).isoformat()}
    job = submit(["web1"], agent="demo", action="echo", data={"text": "a"}, **times)
    moved = allowed | {"openings": [late]}

    refused = ann.put(f"{ROOT}/nights", json=moved)
    tried = ann.put(f"{ROOT}/nights", json=moved, params={"resolve": resolve, "dry_run": True})
    done = ann.put(f"{ROOT}/nights", json=moved, params={"resolve": resolve})

    assert refused.status_code == 409
    assert job["id"] in refused.json()["detail"]
    assert tried.json()["displaced"] == done.json()["displaced"]
    (found,) = done.json()["displaced"]
    assert (found["job"], found["resolve"]) == (job["id"], how)
    now_is = ann.get(f"/api/v1/jobs/{job['id']}").json()
    if how == "cancel":
        assert now_is["state"] == "cancelled"
    else:
        assert datetime.fromisoformat(now_is["not_before"]) == now + 9 * HOUR
        assert datetime.fromisoformat(now_is["start_before"]) == now + 10 * HOUR


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"openings": []}, 422),
        ({"calendar": "BEGIN:VCALENDAR\nEND:VCALENDAR"}, 422),
        ({"openings": [], "calendar": "nonsense"}, 422),
        ({"openings": [{"rule": {"cron": "* * * * * *"}, "lasts_s": 60}]}, 422),
        (
            {
                "openings": [
                    {"rule": {"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31"}, "lasts_s": 1}
                ]
            },
            422,
        ),
        ({"openings": [{"rule": {"cron": "0 1 * * *", "zone": "Mars/Base"}, "lasts_s": 60}]}, 422),
        ({"openings": [{"rule": {"cron": "0 1 * * *"}, "lasts_s": -1}]}, 422),
        ({"kind": "maybe"}, 422),
        ({"name": "a b"}, 422),
        ({"target": {"identities": ["/("]}}, 422),
    ],
)
def test_what_is_no_window_is_refused(ann: TestClient, change: dict[str, Any], status: int) -> None:
    answer = ann.post(ROOT, json=wish(datetime.now(UTC)) | change)

    assert answer.status_code == status, answer.text
    assert ann.get(ROOT).json()["items"] == []


def test_a_pause_is_shown_in_the_status_and_with_its_node(
    ann: TestClient, root: TestClient
) -> None:
    ann.put("/api/v1/pauses/node:web1", json={"message": "new disk"})
    ann.put("/api/v1/pauses/org:acme")
    assert ann.put("/api/v1/pauses/all").status_code == 403
    found = root.put("/api/v1/pauses/all").json()
    assert (found["paused"], found["drained"]) == (True, True)

    status = ann.get("/api/v1/status").json()
    node = ann.get("/api/v1/nodes/web1").json()

    assert [each["place"] for each in status["pauses"]] == ["all", "org:acme", "node:web1"]
    assert status["state"] in {"paused", "degraded"}
    assert [each["code"] for each in node["warnings"]] == ["paused"]
    for place in ("all", "org:acme", "node:web1"):
        assert root.delete(f"/api/v1/pauses/{place}").json()["paused"] is False
    assert ann.get("/api/v1/pauses").json()["items"] == []
    assert ann.get("/api/v1/pauses/world").status_code == 422
    assert ann.put("/api/v1/pauses/org:other").status_code == 404


def test_a_window_of_all_orgs_is_the_fleet_admins(ann: TestClient, root: TestClient) -> None:
    """Every org sees it."""
    made = wish(datetime.now(UTC)) | {"fleet": True}

    assert ann.post(ROOT, json=made).status_code == 403
    assert root.post(ROOT, json=made).json()["org"] is None
    assert ann.delete(f"{ROOT}/freeze").status_code == 403
    (seen,) = ann.get(ROOT).json()["items"]
    assert (seen["name"], seen["org"]) == ("freeze", None)
