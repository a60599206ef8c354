"""Limits over HTTP: who sets them, what is shown, what is refused."""

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from tests.api_house import House
from tests.unit.api.conftest import Submit

ROOT = "/api/v1/limits"


@pytest.mark.spec("S2-11")
def test_an_action_shows_how_many_of_it_may_be_at_work(root: TestClient, ann: TestClient) -> None:
    """One after another is `max_parallel` 1."""
    found = root.put(f"{ROOT}/rpcutil.ping", json={"max_parallel": 1}).json()["items"]
    assert [(item["scope"], item["max_parallel"], item["by"]) for item in found] == [
        ("fleet", 1, "root")
    ]

    action = ann.get("/api/v1/actions/rpcutil.ping").json()

    assert action["action"] == "rpcutil.ping"
    assert action["agent"] == "rpcutil"
    assert action["max_parallel"] == {"fleet": 1}
    assert ann.get("/api/v1/actions/rpcutil.pong").status_code == 404


def test_a_limit_is_taken_off_once(ann: TestClient) -> None:
    ann.put(f"{ROOT}/rpcutil.ping", json={"max_parallel": 2, "scope": "node", "name": "web1"})
    query = {"scope": "node", "name": "web1"}

    assert ann.delete(f"{ROOT}/rpcutil.ping", params=query).json()["items"] == []
    again = ann.delete(f"{ROOT}/rpcutil.ping", params=query)

    assert again.status_code == 404
    assert "no limit of rpcutil.ping is set for node web1" in again.json()["detail"]


@pytest.mark.parametrize(
    ("action", "wish", "status"),
    [
        ("ping", {"max_parallel": 1}, 400),
        ("rpcutil.ping", {"max_parallel": 0}, 422),
        ("rpcutil.ping", {"max_parallel": 2_000_000}, 422),
        ("rpcutil.ping", {"max_parallel": 1, "scope": "world"}, 422),
        ("rpcutil.ping", {"max_parallel": 1, "name": "web1"}, 400),
        ("rpcutil.ping", {"max_parallel": 1, "scope": "org", "name": "other"}, 404),
        ("rpcutil.ping", {"max_parallel": 1, "scope": "node", "name": "nowhere"}, 404),
        ("rpcutil.ping", {}, 422),
    ],
)
def test_what_means_nothing_is_refused(
    root: TestClient, action: str, wish: dict[str, object], status: int
) -> None:
    assert root.put(f"{ROOT}/{action}", json=wish).status_code == status
    assert root.get(ROOT).json()["items"] == []


@pytest.mark.parametrize("scope", ["fleet", "org", "node"])
def test_what_concerns_all_orgs_is_not_an_org_admins(ann: TestClient, scope: str) -> None:
    wish = {"max_parallel": 1, "scope": scope}
    assert ann.put(f"{ROOT}/rpcutil.ping", json=wish).status_code == 403
    assert ann.delete(f"{ROOT}/rpcutil.ping", params={"scope": scope}).status_code == 403


def test_a_viewer_looks_and_sets_nothing(house: House) -> None:
    with house.client("vera") as vera:
        assert vera.get(ROOT).status_code == 200
        assert vera.put(f"{ROOT}/rpcutil.ping", json={"max_parallel": 1}).status_code == 403


def test_a_priority_is_kept_and_shown(ann: TestClient, submit: Submit) -> None:
    assert submit(["web1"], priority=7)["priority"] == 7
    assert submit(["web1"])["priority"] == 0
    wish = {"agent": "rpcutil", "action": "ping", "priority": 101}
    assert ann.post("/api/v1/jobs", json=wish).status_code == 422


PREFERRED = """\
name: preferred
priority: 5
legs:
  - a: {action: rpcutil.ping, target: {identities: web1}}
  - b: {action: rpcutil.ping, target: {identities: web1}, priority: -3}
"""


def test_legs_have_their_plans_priority_or_their_own(ann: TestClient) -> None:
    """Whoever runs a template or keeps a schedule may say another; a leg's own word stays."""

    def priorities(answer: Response) -> list[int]:
        plan = answer.json()
        legs = ann.get(f"/api/v1/jobs/{plan['id']}/legs").json()["items"]
        jobs = [ann.get(f"/api/v1/jobs/{leg['id']}").json() for leg in legs]
        return [job["priority"] for job in (plan, *jobs)]

    ann.post("/api/v1/templates", json={"text": PREFERRED})
    work, rule = {"template": {"name": "preferred"}}, {"cron": "@weekly"}
    wish = {"label": "weekly", "work": work, "rule": rule, "priority": 9}
    ann.post("/api/v1/schedules", json=wish)

    asked = [
        ann.post("/api/v1/templates/preferred/run"),
        ann.post("/api/v1/templates/preferred/run", json={"priority": -7}),
        ann.post("/api/v1/schedules/weekly/run-now"),
    ]

    assert [priorities(answer) for answer in asked] == [[5, 5, -3], [-7, -7, -3], [9, 9, -3]]
