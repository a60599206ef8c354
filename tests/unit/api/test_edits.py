"""Changing a job that has not begun, over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from fleetjobs.documents import decode, encode
from fleetjobs.requests import Request
from fleetjobs.signing import peek
from tests.api_house import House
from tests.unit.api.conftest import Submit
from tests.unit.api.test_verbs import later, path

MERGE = {"action": "test", "data": {"count": 1, "secret": "x"}}


def sealed_of(client: TestClient, job: dict[str, Any]) -> Request:
    """The request as it is kept."""
    return decode(Request, peek(client.get(path(job, "request")).text))


def edit(client: TestClient, job: dict[str, Any], tag: str | None = None, **change: Any) -> Any:
    """PATCH with the ETag of the job as it was given."""
    headers = {"If-Match": tag or f'"{job["version"]}"'}
    return client.patch(path(job), json=change, headers=headers)


@pytest.mark.spec("S0-05", "S1-22")
def test_a_job_is_moved_and_its_inputs_changed(ann: TestClient, submit: Submit) -> None:
    """What is not named stays as it was, secrets too; the version grows."""
    job = submit(**later(**MERGE))
    moment = (datetime.now(UTC) + timedelta(hours=9)).replace(microsecond=0)

    answer = edit(ann, job, data={"count": 2}, not_before=moment.isoformat(), start_before="never")

    changed = answer.json()
    assert (answer.status_code, changed["version"]) == (200, 2)
    assert answer.headers["etag"] == ann.get(path(job)).headers["etag"] == '"2"'
    assert (changed["data"]["count"], changed["start_before"]) == (2, None)
    assert datetime.fromisoformat(changed["not_before"]) == moment
    assert sealed_of(ann, job).data == {"count": 2, "secret": "x"}


def test_null_takes_an_input_out(ann: TestClient, submit: Submit) -> None:
    job = submit(**later(**MERGE))

    edit(ann, job, data={"secret": None})

    assert sealed_of(ann, job).data == {"count": 1}


def test_a_change_that_names_no_version_is_refused(ann: TestClient, submit: Submit) -> None:
    answer = ann.patch(path(submit(**later())), json={"data": {}})

    assert (answer.status_code, answer.json()["code"]) == (428, "precondition_required")


def test_a_change_of_what_was_changed_meanwhile_is_refused(ann: TestClient, submit: Submit) -> None:
    """Two persons who looked at the same job; the second one looks again."""
    job = submit(**later(**MERGE))
    edit(ann, job, data={"count": 2})

    answer = edit(ann, job, data={"count": 3})

    assert (answer.status_code, answer.json()["code"]) == (412, "outdated")
    assert sealed_of(ann, job).data["count"] == 2


def test_what_is_no_etag_is_refused(ann: TestClient, submit: Submit) -> None:
    answer = edit(ann, submit(**later()), tag="now")

    assert (answer.status_code, answer.json()["field"]) == (422, "If-Match")


@pytest.mark.spec("S1-22")
def test_a_job_that_runs_is_not_changed(house: House, ann: TestClient, submit: Submit) -> None:
    job = submit(["web1"])
    house.begin(job["id"], "web1")

    answer = edit(ann, ann.get(path(job)).json(), not_before="2030-01-01T00:00:00Z")

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_a_signed_request_replaces_the_one_before(
    house: House, ann: TestClient, submit: Submit
) -> None:
    """With the same id; by the caller's own key."""
    job = submit(**later(**MERGE))
    request = msgspec.structs.replace(sealed_of(ann, job), data={"count": 7})

    answer = ann.patch(
        path(job),
        content=house.key.seal(encode(request)),
        headers={"If-Match": '"1"', "Content-Type": "application/jose"},
    )

    assert (answer.status_code, answer.json()["data"]) == (200, {"count": 7})


def test_a_signed_request_of_another_id_is_refused(
    house: House, ann: TestClient, submit: Submit
) -> None:
    job, other = submit(**later(**MERGE)), submit(**later(**MERGE))
    request = sealed_of(ann, other)

    answer = ann.patch(
        path(job),
        content=house.key.seal(encode(request)),
        headers={"If-Match": '"1"', "Content-Type": "application/jose"},
    )

    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"data": {"count": "many"}}, 422),
        ({"start_before": "soon"}, 422),
        ({"agent": "other"}, 422),
        ({"not_before": "2199-01-01T00:00:00Z"}, 422),
        ({"target": {"identities": ["web9"]}}, 422),
    ],
)
def test_a_change_that_makes_no_sense_changes_nothing(
    ann: TestClient, submit: Submit, change: dict[str, Any], status: int
) -> None:
    job = submit(**later(**MERGE))

    answer = edit(ann, job, **change)

    assert answer.status_code == status
    assert ann.get(path(job)).json() == job


def test_a_viewer_changes_nothing(house: House, submit: Submit) -> None:
    answer = edit(house.client("vera"), submit(**later()), data={})

    assert answer.status_code == 403


def test_the_request_is_shown_to_its_caller_alone(house: House, submit: Submit) -> None:
    """There may be secrets in it."""
    job = submit(**later(**MERGE))

    assert house.client("olaf").get(path(job, "request")).status_code == 403
    assert house.client("eve").get(path(job, "request")).status_code == 404


@pytest.mark.spec("S0-09")
def test_a_job_waits_for_another_and_says_so(house: House, ann: TestClient, submit: Submit) -> None:
    first = submit(["web1"])
    second = submit(["web2"], after=[{"job": first["id"], "node": "web1"}], retries=2)

    assert (second["state"], second["wait_reason"]) == ("waiting", "dependency")
    assert second["after"] == [
        {"job": first["id"], "node": "web1", "when": "succeeded", "met": False}
    ]
    assert second["max_attempts"] == 3
    house.reply(first["id"], "web1")
    second = ann.get(path(second)).json()
    assert (second["wait_reason"], second["after"][0]["met"]) == ("outbox", True)


def test_an_unknown_job_cannot_be_waited_for(ann: TestClient, house: House) -> None:
    """Nor one of another org."""
    wish = {"agent": "rpcutil", "action": "ping"}
    foreign = house.client("eve").post("/api/v1/jobs", json=wish).json()

    answer = ann.post("/api/v1/jobs", json={**wish, "after": [{"job": foreign["id"]}]})

    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_dependency")


def test_a_job_that_is_never_too_late_has_no_limit(submit: Submit) -> None:
    assert submit(start_before="never")["start_before"] is None
