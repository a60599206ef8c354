"""Schedules over HTTP: made, looked at, changed, set aside, deleted."""

from datetime import datetime
from typing import Any

import pytest
from starlette.testclient import TestClient

from fleetjobs.coordinator.scheduler import Scheduler
from fleetjobs.documents import encode
from tests.api_house import House

SCHEDULES = "/api/v1/schedules"


def nightly(**changes: Any) -> dict[str, Any]:
    """A ping of all nodes at four in the morning."""
    return {
        "label": "nightly",
        "work": {"call": {"agent": "rpcutil", "action": "ping"}},
        "rule": {"cron": "0 4 * * *", "zone": "Europe/Prague"},
        **changes,
    }


def create(client: TestClient, **changes: Any) -> dict[str, Any]:
    answer = client.post(SCHEDULES, json=nightly(**changes))
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_a_schedule_is_made_and_found_by_label_and_id(ann: TestClient) -> None:
    made = create(ann)

    assert made["next_at"] is not None
    assert made["schedule"]["rule"] == {"cron": "0 4 * * *", "zone": "Europe/Prague"}
    for name in ("nightly", made["id"]):
        assert ann.get(f"{SCHEDULES}/{name}").json() == made
    assert ann.get(SCHEDULES).json()["items"] == [made]


@pytest.mark.spec("S2-10")
def test_another_org_finds_none_of_it(house: House, ann: TestClient) -> None:
    made = create(ann)

    with house.client("eve") as eve:
        assert eve.get(SCHEDULES).json()["items"] == []
        for name in ("nightly", made["id"]):
            for answer in (
                eve.get(f"{SCHEDULES}/{name}"),
                eve.delete(f"{SCHEDULES}/{name}"),
                eve.post(f"{SCHEDULES}/{name}/run-now"),
            ):
                assert answer.status_code == 404, answer.text


def test_a_change_names_the_version_that_was_seen(ann: TestClient) -> None:
    create(ann)
    etag = ann.get(f"{SCHEDULES}/nightly").headers["ETag"]
    other = nightly(rule={"every_s": 3600})

    first = ann.put(f"{SCHEDULES}/nightly", json=other, headers={"If-Match": etag})
    second = ann.put(f"{SCHEDULES}/nightly", json=nightly(), headers={"If-Match": etag})

    assert (first.status_code, second.status_code) == (200, 412)
    assert ann.get(f"{SCHEDULES}/nightly").json()["rule"] == "every 1h"


def test_it_is_set_aside_and_goes_on(ann: TestClient) -> None:
    create(ann)

    disabled = ann.post(f"{SCHEDULES}/nightly/disable").json()
    enabled = ann.post(f"{SCHEDULES}/nightly/enable").json()

    assert (disabled["enabled"], disabled["next_at"]) == (False, None)
    assert (enabled["enabled"], enabled["next_at"] is None) == (True, False)


@pytest.mark.spec("S2-28")
def test_deleted_it_is_found_by_its_id_and_its_label_is_free(ann: TestClient) -> None:
    made = create(ann)

    ann.delete(f"{SCHEDULES}/nightly")

    assert ann.get(f"{SCHEDULES}/nightly").status_code == 404
    assert ann.get(f"{SCHEDULES}/{made['id']}").json()["ended_at"] is not None
    assert ann.get(SCHEDULES).json()["items"] == []
    assert len(ann.get(SCHEDULES, params={"ended": True}).json()["items"]) == 1
    create(ann)


@pytest.mark.spec("S2-27")
def test_its_job_at_once_is_one_of_its_jobs(ann: TestClient) -> None:
    made = create(ann)

    answer = ann.post(f"{SCHEDULES}/nightly/run-now")

    assert answer.status_code == 202
    found = ann.get("/api/v1/jobs", params={"schedule": made["id"]}).json()["items"]
    assert [job["id"] for job in found] == [answer.json()["id"]]


@pytest.mark.spec("S2-03")
def test_a_preview_counts_in_the_rules_own_zone(ann: TestClient) -> None:
    create(ann)

    kept = ann.get(f"{SCHEDULES}/nightly/preview", params={"count": 3}).json()
    new = ann.post(
        f"{SCHEDULES}/preview",
        params={"count": 3},
        json={"cron": "0 4 * * *", "zone": "Europe/Prague"},
    ).json()

    assert kept == new
    assert [moment[11:16] for moment in kept["items"]] == ["04:00"] * 3


def test_the_next_occurrence_can_be_left_out(ann: TestClient) -> None:
    create(ann)

    assert ann.post(f"{SCHEDULES}/nightly/skip-next").json()["skips"] == 1
    assert ann.post(f"{SCHEDULES}/nightly/skip-next", json={"count": 0}).json()["skips"] == 0
    assert ann.get(f"{SCHEDULES}/nightly/occurrences").json() == {"items": [], "next": None}


@pytest.mark.spec("S2-35")
@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"rule": {"cron": "0 4 * *"}}, 422, "invalid_schedule"),
        ({"rule": {"cron": "0 4 * * *", "zone": "Mars/Base"}}, 422, "invalid_schedule"),
        ({"rule": {"rrule": "FREQ=SECONDLY"}}, 422, "invalid_schedule"),
        ({"label": "no good"}, 422, "invalid_document"),
        ({"rule": {"every_s": -1}}, 422, "invalid_document"),
        ({"active_till": "2020-01-01T00:00:00Z"}, 422, "invalid_schedule"),
        ({"work": {"call": {"agent": "rpcutil", "action": "fly"}}}, 404, "unknown_action"),
        ({"colour": "red"}, 422, "invalid_document"),
        ({"rule": {"at": ["2027-01-01T00:00:00"]}}, 422, "invalid_document"),
        ({"rule": {"at": ["2020-01-01T00:00:00Z"]}}, 422, "invalid_schedule"),
        ({"rule": {"at": ["9999-12-31T23:59:59-14:00"]}}, 422, "invalid_schedule"),
        ({"rule": {"at": ["0001-01-01T00:00:00+14:00"]}}, 422, "invalid_schedule"),
        ({"active_from": "9999-12-31T23:59:59Z"}, 422, "invalid_schedule"),
        ({"active_till": "9999-12-31T23:59:59Z"}, 422, "invalid_schedule"),
        ({"jitter_s": -1}, 422, "invalid_document"),
        ({"rule": {"every_s": 60}, "jitter_s": 61}, 422, "invalid_schedule"),
        ({"rule": {"every_s": 0.5}}, 422, "invalid_document"),
    ],
)
def test_what_is_wrong_is_named_and_not_kept(
    ann: TestClient, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = ann.post(SCHEDULES, json=nightly(**changes))

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert ann.get(SCHEDULES).json()["items"] == []


def test_a_label_is_there_once(ann: TestClient) -> None:
    create(ann)

    answer = ann.post(SCHEDULES, json=nightly())

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


@pytest.mark.spec("S2-29")
def test_what_another_job_handles_says_so(house: House, ann: TestClient) -> None:
    made = create(ann, overlap="coalesce")
    job = ann.post(f"{SCHEDULES}/nightly/run-now").json()["id"]
    later = datetime.fromisoformat(made["next_at"])

    Scheduler(house.database, lambda: later, lambda request: house.key.seal(encode(request))).step()

    (item,) = ann.get(f"{SCHEDULES}/nightly/occurrences").json()["items"]
    assert (item["fate"], item["reason"]) == ("skipped", "overlap")
    assert item["text"] == f"job {job} handles it"


def test_the_jobs_of_a_schedule_and_of_a_node_are_listed(house: House, ann: TestClient) -> None:
    create(ann)
    job = ann.post(f"{SCHEDULES}/nightly/run-now").json()["id"]
    other = {"agent": "rpcutil", "action": "ping", "target": {"identities": ["web2"]}}
    alone = ann.post("/api/v1/jobs", json=other).json()["id"]

    def ids(path: str) -> set[str]:
        return {item["id"] for item in ann.get(f"/api/v1/{path}").json()["items"]}

    assert ids("schedules/nightly/jobs") == {job}
    assert ids("nodes/web1/jobs") == {job}
    assert ids("nodes/web2/jobs?limit=10") == {job, alone}
    assert ids("nodes/web2/jobs?state=failed") == set()
    with house.client("eve") as eve:
        for path in ("schedules/nightly/jobs", "nodes/web1/jobs"):
            assert eve.get(f"/api/v1/{path}").status_code == 404
