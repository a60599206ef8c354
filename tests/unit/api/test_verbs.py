"""What may be done to a job over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient
from uuid_utils import uuid7

from fleetjobs.states import State
from tests.api_house import House
from tests.unit.api.conftest import Submit

VERBS = ("cancel", "hold", "release", "retry", "rerun", "resume", "resolve")


def path(job: dict[str, Any], *more: str) -> str:
    return "/".join(("/api/v1/jobs", job["id"], *more))


def later(**more: Any) -> dict[str, Any]:
    """Wishes for a job that is not due soon."""
    return {"not_before": (datetime.now(UTC) + timedelta(hours=5)).isoformat(), **more}


@pytest.mark.spec("S1-24", "G7")
@pytest.mark.parametrize("method", ["DELETE", "POST"])
def test_a_scheduled_job_is_cancelled_and_again_without_a_difference(
    ann: TestClient, submit: Submit, method: str
) -> None:
    job = submit(**later())
    where = path(job) if method == "DELETE" else path(job, "cancel")

    first = ann.request(method, where)
    again = ann.request(method, where)

    assert (first.status_code, first.json()["state"]) == (200, "cancelled")
    assert (again.status_code, again.json()) == (200, first.json())
    assert first.json()["confirmed"]


@pytest.mark.spec("S0-04")
def test_a_running_job_is_being_cancelled_until_its_nodes_confirm(
    house: House, ann: TestClient, submit: Submit
) -> None:
    """And the document says which of them have not."""
    job = submit(["web1", "web2"])
    house.begin(job["id"], "web1", "web2")

    found = ann.post(path(job, "cancel")).json()

    assert (found["state"], found["pending"], found["confirmed"]) == (
        "cancelling",
        {"cancel": 2},
        False,
    )
    house.reply(job["id"], "web1", "web2", state=State.CANCELLED, generation=1)
    found = ann.get(path(job)).json()
    assert (found["state"], found["pending"], found["confirmed"]) == ("cancelled", {}, True)


def test_force_does_not_wait(house: House, ann: TestClient, submit: Submit) -> None:
    """It is over for us, and the node is still told."""
    job = submit(["web1"])
    house.begin(job["id"], "web1")

    found = ann.post(path(job, "cancel"), json={"force": True}).json()

    assert (found["state"], found["pending"]) == ("cancelled", {"cancel": 1})
    run = ann.get(path(job, "runs", "web1")).json()
    assert (run["pending"], run["confirmed"]) == ("cancel", False)


@pytest.mark.parametrize(
    "target", [{"identities": ["web1"]}, {"identities": ["/1$/"]}, {"limit": "1"}]
)
def test_a_part_of_a_job_is_cancelled(
    ann: TestClient, submit: Submit, target: dict[str, Any]
) -> None:
    """Any target will do; it picks among the job's own nodes."""
    job = submit(**later())

    answer = ann.post(path(job, "cancel"), json={"target": target})

    assert answer.json()["tally"] == {"cancelled": 1, "scheduled": 2}


def test_a_node_that_the_job_is_not_on_is_named(ann: TestClient, submit: Submit) -> None:
    job = submit(["web1"])

    answer = ann.post(path(job, "cancel"), json={"target": {"identities": ["web2"]}})

    assert answer.status_code == 404
    assert "web2" in answer.json()["detail"]


def test_what_is_held_waits_until_it_is_released(ann: TestClient, submit: Submit) -> None:
    job = submit(**later())

    held = ann.post(path(job, "hold")).json()
    released = ann.post(path(job, "release")).json()

    assert (held["state"], held["reason"], held["attention"]) == ("paused", "hold", False)
    assert released["state"] == "scheduled"


def test_what_has_begun_cannot_be_held(house: House, ann: TestClient, submit: Submit) -> None:
    job = submit(["web1"])
    house.begin(job["id"], "web1")

    answer = ann.post(path(job, "hold"))

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


@pytest.mark.spec("S1-23")
def test_a_rerun_is_a_new_job_that_names_the_old_one(
    house: House, ann: TestClient, submit: Submit
) -> None:
    """Asked for twice by the same name, it is one."""
    job = submit(["web1", "web2"])
    house.reply(job["id"], "web1", "web2", state=State.FAILED)
    old = ann.get(path(job)).json()
    name = {"id": str(uuid7())}

    first = ann.post(path(job, "rerun"), json=name)
    again = ann.post(path(job, "rerun"), json=name)

    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"] == name["id"]
    assert (first.json()["rerun_of"], first.json()["nodes"]) == (job["id"], 2)
    assert first.headers["location"] == f"/api/v1/jobs/{name['id']}"
    assert ann.get(path(job)).json() == old
    found = ann.get("/api/v1/jobs", params={"rerun_of": job["id"]}).json()["items"]
    assert [item["id"] for item in found] == [name["id"]]


def test_a_retry_of_an_ended_job_is_a_new_one_where_it_failed(
    house: House, ann: TestClient, submit: Submit
) -> None:
    job = submit(["web1", "web2"])
    house.reply(job["id"], "web1")
    house.reply(job["id"], "web2", state=State.FAILED)

    answer = ann.post(path(job, "retry"))

    assert (answer.status_code, answer.json()["rerun_of"]) == (202, job["id"])
    assert answer.json()["target"] == {"identities": ["web2"]}


def test_a_retry_of_what_succeeded_is_refused(
    house: House, ann: TestClient, submit: Submit
) -> None:
    job = submit(["web1"])
    house.reply(job["id"], "web1")

    assert ann.post(path(job, "retry")).status_code == 409


@pytest.mark.spec("S1-14")
def test_a_lost_run_asks_for_attention_and_a_person_decides(
    house: House, ann: TestClient, submit: Submit
) -> None:
    """It is listed with what it was, and resolved by word."""
    job = submit(["web1"])
    house.begin(job["id"], "web1")
    house.lose(job["id"], "web1")

    [item] = ann.get("/api/v1/attention").json()["items"]
    assert (item["job"], item["node"], item["reason"]) == (job["id"], "web1", "lost")
    assert (item["agent"], item["action"], item["caller"]) == ("rpcutil", "ping", "ann")
    assert ann.get("/api/v1/jobs", params={"reason": "lost"}).json()["items"][0]["attention"]

    found = ann.post(path(job, "resolve"), json={"as": "failed"}).json()

    assert (found["state"], found["attention"]) == ("failed", False)
    assert ann.get("/api/v1/attention").json()["items"] == []


def test_a_retry_of_a_lost_run_is_another_attempt(
    house: House, ann: TestClient, submit: Submit
) -> None:
    """In the same job; the first one is kept."""
    job = submit(["web1"])
    house.begin(job["id"], "web1")
    house.lose(job["id"], "web1")

    answer = ann.post(path(job, "retry"))

    assert (answer.status_code, answer.json()["state"]) == (200, "waiting")
    run = ann.get(path(job, "runs", "web1")).json()
    assert (run["attempt"], run["wait_reason"]) == (2, "retry")
    [attempt] = ann.get(path(job, "runs", "web1", "attempts")).json()["items"]
    assert (attempt["attempt"], attempt["reason"], attempt["late"]) == (1, "lost", False)


@pytest.mark.parametrize("verb", VERBS)
def test_a_viewer_may_look_and_nothing_else(house: House, submit: Submit, verb: str) -> None:
    job = submit()
    vera = house.client("vera")

    answer = vera.post(path(job, verb), json={"as": "failed"} if verb == "resolve" else {})

    assert (answer.status_code, answer.json()["code"]) == (403, "denied")
    assert vera.delete(path(job)).status_code == 403
    assert vera.get("/api/v1/attention").status_code == 200


@pytest.mark.spec("G9")
@pytest.mark.parametrize("verb", VERBS)
def test_another_orgs_job_is_not_found(house: House, submit: Submit, verb: str) -> None:
    job = submit()

    answer = house.client("eve").post(
        path(job, verb), json={"as": "failed"} if verb == "resolve" else {}
    )

    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("resolve", {}),
        ("resolve", {"as": "cancelled"}),
        ("cancel", {"forse": True}),
        ("cancel", {"target": {"limit": "1"}, "force": "yes"}),
        ("rerun", {"id": "x"}),
        ("rerun", {"target": {"identities": ["web1"]}}),
    ],
)
def test_a_body_that_makes_no_sense_is_refused(
    ann: TestClient, submit: Submit, verb: str, body: dict[str, Any]
) -> None:
    answer = ann.post(path(submit(), verb), json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_document")


def test_an_impatient_user_may_cancel_and_ask_again_at_once(
    ann: TestClient, submit: Submit
) -> None:
    first = submit(["web1"])
    assert ann.delete(path(first)).status_code == 200

    second = submit(["web1"])

    assert second["state"] == "waiting"
    assert ann.get(path(first)).json()["state"] in {"cancelled", "cancelling"}
