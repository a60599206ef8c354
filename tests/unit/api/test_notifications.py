"""Notifications over HTTP: wished for, listed, sent again."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from fleetjobs.names import JobId
from fleetjobs.states import State
from tests.api_house import House
from tests.makers import new_id
from tests.unit.api.conftest import Submit

PLACE = "/api/v1/notifications"
OPS = "mail:ops@example.org"


def wish(client: TestClient, **wanted: Any) -> Any:
    return client.post(f"{PLACE}/wishes", json={"to": [OPS], "on": "success", **wanted})


def test_what_was_wished_before_the_job_was_there_is_told(
    house: House, ann: TestClient, submit: Submit
) -> None:
    name: JobId = new_id()
    assert wish(ann, job=name).status_code == 201
    submit(["web1"], id=name)

    house.reply(name, "web1", state=State.SUCCEEDED)

    (told,) = ann.get(PLACE).json()["items"]
    assert (told["state"], told["topic"], told["to"]) == ("waiting", "success", OPS)
    assert (told["job"], told["told"]["action"]) == (name, "rpcutil.ping")
    again = ann.post(f"{PLACE}/{told['id']}/retry").json()
    assert again["id"] == told["id"]


def test_only_an_admin_wishes_for_all(house: House, ann: TestClient) -> None:
    with house.client("olaf") as olaf:
        assert wish(olaf).status_code == 403
    made = wish(ann, on="failure,duration:10m").json()

    assert (made["job"], made["on"], made["duration_s"]) == (None, ["failure", "duration"], 600)
    assert ann.get(f"{PLACE}/wishes").json()["items"] == [made]
    assert ann.delete(f"{PLACE}/wishes/{made['id']}").json()["items"] == []
    assert ann.delete(f"{PLACE}/wishes/{made['id']}").status_code == 404


def test_another_org_sees_and_touches_none_of_it(
    house: House, ann: TestClient, submit: Submit
) -> None:
    job = submit(["web1"])
    made = wish(ann).json()
    test = ann.post(f"{PLACE}/test", json={"to": OPS}).json()

    with house.client("eve") as eve:
        assert eve.get(PLACE).json()["items"] == []
        assert eve.get(f"{PLACE}/wishes").json()["items"] == []
        assert eve.delete(f"{PLACE}/wishes/{made['id']}").status_code in {403, 404}
        assert eve.post(f"{PLACE}/{test['id']}/retry").status_code in {403, 404}
        assert wish(eve, job=job["id"]).status_code in {403, 404}


@pytest.mark.parametrize(
    "wanted",
    [{"to": ["ops@example.org"]}, {"to": []}, {"on": "never"}, {"on": ""}, {"sms": "1"}],
    ids=str,
)
def test_what_cannot_be_told_is_refused(ann: TestClient, wanted: dict[str, Any]) -> None:
    assert wish(ann, **wanted).status_code == 422
    assert ann.get(f"{PLACE}/wishes").json()["items"] == []


def test_a_schedule_names_sinks_that_exist(ann: TestClient) -> None:
    nightly = {
        "label": "nightly",
        "work": {"call": {"agent": "rpcutil", "action": "ping"}},
        "rule": {"cron": "0 4 * * *"},
    }

    refused = ann.post("/api/v1/schedules", json={**nightly, "notify": ["ops"]})
    taken = ann.post("/api/v1/schedules", json={**nightly, "notify": [OPS]})

    assert refused.status_code == 422
    assert "no sink" in refused.json()["detail"]
    assert taken.json()["schedule"]["notify"] == [OPS]
