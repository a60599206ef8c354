"""What the coordinators are told over HTTP, and what waits for them."""

from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from fleetjobs.store.leases import LEADER, take_lease
from tests.api_house import House
from tests.unit.api.conftest import Submit
from tests.unit.api.test_verbs import path

ROOT = "/api/v1/coordinator"


@pytest.mark.spec("S1-11")
def test_a_paused_relay_says_so_until_it_is_resumed(house: House) -> None:
    """Twice paused is once paused: the first word stands."""
    now = datetime.now(UTC)
    with house.database.transaction() as connection:
        assert take_lease(connection, LEADER, "host:1", now, timedelta(minutes=5))
    root = house.client("root")

    root.post(f"{ROOT}/pause", json={"message": "upgrade"})
    found = root.post(f"{ROOT}/pause", json={"message": "again"}).json()
    resumed = root.post(f"{ROOT}/resume").json()

    assert (found["state"], found["holder"], found["message"]) == ("paused", "host:1", "upgrade")
    assert (resumed["state"], resumed["message"]) == ("working", "")


@pytest.mark.spec("S1-28")
def test_who_told_them_to_end_is_shown(house: House, ann: TestClient) -> None:
    """No coordinator leads here: it is `away` before, `stopped` after."""
    assert ann.get(ROOT).json()["state"] == "away"

    found = house.client("root").post(f"{ROOT}/stop", json={"message": "power cut at noon"}).json()

    assert (found["state"], found["holder"]) == ("stopped", None)
    assert found["message"] == "power cut at noon"
    assert ann.get("/api/v1/status").json()["state"] == "stopped"


@pytest.mark.spec("S1-27")
def test_the_outbox_is_shown_and_cleared(ann: TestClient, submit: Submit) -> None:
    """What is cleared is cancelled, and on record."""
    job = submit(["web1", "web2"])

    items = ann.get(f"{ROOT}/outbox").json()["items"]
    cleared = ann.delete(f"{ROOT}/outbox").json()

    assert [(item["job"], item["node"]) for item in items] == [
        (job["id"], "web1"),
        (job["id"], "web2"),
    ]
    assert cleared == {"cancelled": 2}
    assert ann.get(f"{ROOT}/outbox").json()["items"] == []
    assert ann.get(path(job)).json()["state"] in {"cancelled", "cancelling"}


@pytest.mark.parametrize(
    ("method", "where"),
    [("POST", "pause"), ("POST", "resume"), ("POST", "stop"), ("DELETE", "outbox")],
)
def test_only_an_admin_tells_them(house: House, method: str, where: str) -> None:
    olaf = house.client("olaf")

    assert olaf.request(method, f"{ROOT}/{where}").status_code == 403
    assert olaf.get(ROOT).status_code == 200
