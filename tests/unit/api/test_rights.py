"""What roles, grants and orgs let one do to jobs and schedules over HTTP."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.api_house import House
from tests.unit.api.test_accounts import Door

PING = {"agent": "rpcutil", "action": "ping"}
FLEET = {"As-Org": "@fleet"}


@pytest.fixture
def door(house: House) -> Iterator[Door]:
    with ExitStack() as stack:
        yield Door(house, stack)


def schedule(label: str = "nightly", **more: Any) -> dict[str, Any]:
    return {"label": label, "work": {"call": PING}, "rule": {"every_s": 3600}, **more}


def deny(door: Door, account: str, verb: str) -> None:
    wish = {"effect": "deny", "actions": ["rpcutil.*"], "verbs": [verb]}
    assert door["ann"].post(f"/accounts/{account}/grants", json=wish).status_code == 201


def test_an_operator_runs_what_an_editor_keeps(door: Door) -> None:
    olaf, edith = door["olaf"], door["edith"]
    assert olaf.post("/schedules", json=schedule()).status_code == 403
    assert edith.post("/schedules", json=schedule()).status_code == 201

    assert olaf.post("/schedules/nightly/run-now").status_code == 202
    assert olaf.post("/schedules/nightly/disable").status_code == 403
    assert olaf.delete("/schedules/nightly").status_code == 403
    assert edith.post("/schedules/nightly/disable").status_code == 200


@pytest.mark.parametrize(
    ("verb", "paths"),
    [
        ("cancel", ["cancel", "hold"]),
        ("run", ["release", "resume", "retry", "rerun"]),
    ],
)
def test_verbs_are_denied_each_by_itself(door: Door, verb: str, paths: list[str]) -> None:
    job = door["olaf"].post("/jobs", json=PING).json()["id"]
    deny(door, "olaf", verb)

    codes = {path: door["olaf"].post(f"/jobs/{job}/{path}").status_code for path in paths}

    assert codes == dict.fromkeys(paths, 403)
    other = "resume" if verb == "cancel" else "cancel"
    assert door["olaf"].post(f"/jobs/{job}/{other}").status_code == 200


def test_logs_are_denied_by_themselves(door: Door) -> None:
    job = door["olaf"].post("/jobs", json=PING).json()["id"]
    place = f"/jobs/{job}/runs/web1/logs/stdout"
    assert door["vera"].get(place).status_code == 200
    deny(door, "vera", "view-log")

    assert door["vera"].get(place).status_code == 403
    assert door["vera"].get(f"/jobs/{job}").status_code == 200


def test_keeping_schedules_is_denied_by_itself(door: Door) -> None:
    assert door["edith"].post("/schedules", json=schedule()).status_code == 201
    deny(door, "edith", "manage")

    assert door["edith"].post("/schedules", json=schedule("other")).status_code == 403
    assert door["edith"].delete("/schedules/nightly").status_code == 403
    assert door["edith"].post("/jobs", json=PING).status_code == 202


def test_no_template_hides_what_a_schedule_does(door: Door) -> None:
    text = "name: ping\naction: rpcutil.ping\n"
    assert door["ann"].post("/templates", json={"text": text}).status_code == 201
    wish = schedule() | {"work": {"template": {"name": "ping"}}}
    assert door["edith"].post("/schedules", json=wish).status_code == 201
    deny(door, "edith", "manage")

    assert door["edith"].post("/schedules", json=wish | {"label": "other"}).status_code == 403
    assert door["edith"].post("/schedules/nightly/disable").status_code == 403
    assert door["ann"].delete("/templates/ping").status_code == 200
    assert door["edith"].delete("/schedules/nightly").status_code == 200


def test_keeping_templates_is_denied_by_what_they_do(door: Door) -> None:
    text = (
        "name: ping\nparams: {where: {type: string}}\ntarget: {identities: ['${params.where}']}\n"
    )
    other, mine = {"text": text + "action: demo.echo\n"}, {"text": text + "action: rpcutil.ping\n"}
    apply = {"files": [{"name": "ping.yaml", "text": mine["text"]}]}
    edith, ann = door["edith"], door["ann"]
    assert ann.post("/templates", json=mine).status_code == 201
    deny(door, "edith", "manage")

    assert edith.put("/templates/ping", json=other).status_code == 403
    assert edith.delete("/templates/ping").status_code == 403
    assert ann.put("/templates/ping", json=other).status_code == 200
    assert edith.put("/templates/ping", json=mine).status_code == 403
    assert edith.post("/templates/apply", json=apply).status_code == 403
    assert edith.delete("/templates/ping").status_code == 200
    assert edith.post("/templates", json=mine).status_code == 403


@pytest.mark.spec("S2-10")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/jobs", PING),
        ("POST", "/plans", {"plan": {"name": "p", "legs": [{"key": "a", **PING}]}}),
        ("POST", "/schedules", schedule()),
        ("PATCH", "/schedules/mine", {"description": "x"}),
        ("POST", "/accounts", {"name": "x", "role": "viewer"}),
    ],
)
def test_an_org_in_the_body_is_ones_own_or_refused(
    door: Door, method: str, path: str, body: dict[str, Any]
) -> None:
    assert door["ann"].post("/schedules", json=schedule("mine")).status_code == 201

    def ask(org: Any) -> int:
        return door["ann"].request(method, path, json=body | {"org": org}).status_code

    assert ask("other") == 403
    assert ask(None) == 403
    assert ask("acme") in {200, 201, 202}


@pytest.mark.spec("S2-05")
def test_the_fleet_has_schedules_of_its_own(door: Door) -> None:
    """On every node, whosever it is; the same label in two orgs, and not twice in one."""
    root = door["root"]
    assert door["ann"].post("/schedules", json=schedule(), headers=FLEET).status_code == 403
    made = root.post("/schedules", json=schedule()).json()

    assert (made["org"], made["owner"]) == (None, "root")
    assert root.post("/schedules", json=schedule(org=None)).status_code == 409
    assert door["ann"].post("/schedules", json=schedule()).status_code == 201
    assert door["eve"].post("/schedules", json=schedule()).status_code == 201
    assert door["ann"].post("/schedules", json=schedule()).status_code == 409
    job = root.post("/schedules/nightly/run-now").json()
    nodes = {run["node"] for run in root.get(f"/jobs/{job['id']}/runs").json()["items"]}
    assert nodes == {"web1", "web2", "web3", "foreign1"}
    assert door["ann"].get(f"/jobs/{job['id']}").status_code == 404


@pytest.mark.spec("S2-22")
def test_a_fleet_admin_edits_an_orgs_schedule_saying_so(door: Door) -> None:
    root = door["root"]
    made = door["ann"].post("/schedules", json=schedule()).json()
    door["eve"].post("/schedules", json=schedule())
    assert [item["org"] for item in root.get("/schedules").json()["items"]] == ["other", "acme"]
    assert root.get(f"/schedules/{made['id']}").json()["org"] == "acme"
    patch = {"description": "by root"}

    silent = root.patch(f"/schedules/{made['id']}", json=patch)
    said = root.patch("/schedules/nightly", json=patch, headers={"As-Org": "acme"})

    assert silent.status_code == 403
    assert "--as-org acme" in silent.json()["detail"]
    assert (said.status_code, said.json()["id"]) == (200, made["id"])
    (row,) = door.audit(kind="schedule.changed")
    assert (row["actor"], row["org"], row["subject"]) == ("root", "acme", "nightly")
    assert (row["before"]["owner"], row["after"]["owner"]) == ("ann", "root")
    assert row["after"]["description"] == "by root"
    assert [row["subject"] for row in door.audit(kind="org.acted_in")] == [
        "PATCH /api/v1/schedules/nightly"
    ]


@pytest.mark.spec("S2-23")
def test_the_fleets_schedules_are_shown_roughly_if_they_are_shared(door: Door) -> None:
    root, ann = door["root"], door["ann"]
    secret = schedule(description="not for orgs")
    assert root.post("/schedules", json=secret).status_code == 201
    assert ann.get("/fleet-schedules").json()["items"] == []
    assert ann.patch("/schedules/nightly", json={}).status_code == 404

    root.put("/settings/share_fleet_schedules", json={"value": True})

    (shown,) = ann.get("/fleet-schedules").json()["items"]
    assert set(shown) == {"label", "does", "next_at", "enabled"}
    assert (shown["label"], shown["does"], shown["enabled"]) == ("nightly", "rpcutil.ping", True)
    assert ann.get("/schedules/nightly").status_code == 404
    assert ann.patch("/schedules/nightly", json={}).status_code == 403
    assert ann.delete("/schedules/nightly").status_code == 403
    assert door["vera"].get("/fleet-schedules").status_code == 403


def test_every_change_of_a_schedule_is_written_down(door: Door) -> None:
    ann = door["ann"]
    ann.post("/schedules", json=schedule())
    ann.post("/schedules/nightly/disable")
    ann.post("/schedules/nightly/enable")
    ann.post("/schedules/nightly/skip-next", json={"count": 2})
    ann.delete("/schedules/nightly")

    rows = door.audit(kind="schedule.")

    assert [row["kind"] for row in reversed(rows)] == [
        f"schedule.{kind}" for kind in ("created", "disabled", "enabled", "skipping", "deleted")
    ]
    assert (rows[1]["before"], rows[1]["after"]) == ({"skips": 0}, {"skips": 2})
    assert door["root"].get("/audit/verify").json()["outcome"] == "whole"


@pytest.mark.spec("S2-26")
def test_lists_of_jobs_are_narrowed_by_org_and_schedule(door: Door) -> None:
    root, ann = door["root"], door["ann"]
    made = ann.post("/schedules", json=schedule()).json()
    mine = ann.post("/schedules/nightly/run-now").json()["id"]
    other = door["olaf"].post("/jobs", json=PING).json()["id"]
    foreign = door["eve"].post("/jobs", json=PING).json()["id"]

    def ids(client: Any, path: str, **query: Any) -> set[str]:
        return {job["id"] for job in client.get(path, params=query).json()["items"]}

    assert ids(root, "/jobs") == {mine, other, foreign}
    assert ids(root, "/jobs", org="acme") == ids(root, "/orgs/acme/jobs") == {mine, other}
    assert ids(root, "/jobs", org="acme", schedule=made["id"]) == {mine}
    assert ids(root, "/jobs", org="other", schedule=made["id"]) == set()
    assert ids(ann, "/jobs") == ids(ann, "/jobs", org="acme") == {mine, other}
    assert ids(ann, "/jobs", org="other") == set()
    assert ids(ann, "/me/jobs") == {mine}
    assert ann.get("/orgs/other/jobs").status_code == 404
    assert ids(root, "/jobs", sort="created", action="ping", org="other") == {foreign}


@pytest.mark.spec("S2-22")
def test_a_fleet_admin_sees_and_does_not_touch_an_orgs_jobs_unasked(door: Door) -> None:
    job = door["ann"].post("/jobs", json=PING).json()["id"]
    root = door["root"]
    for path in ("", "/runs", "/runs/web1", "/events", "/runs/web1/logs/stdout"):
        assert root.get(f"/jobs/{job}{path}").status_code == 200, path

    assert root.post(f"/jobs/{job}/cancel").status_code == 403
    assert root.post(f"/jobs/{job}/cancel", headers={"As-Org": "acme"}).status_code == 200
    assert {node["org"] for node in root.get("/nodes").json()["items"]} == {"acme", "other"}


def test_every_change_of_a_template_and_a_limit_is_written_down(door: Door) -> None:
    text = "name: look\naction: rpcutil.ping\n"
    assert door["edith"].post("/templates", json={"text": text}).status_code == 201
    door["edith"].delete("/templates/look")
    wish = {"max_parallel": 2, "scope": "fleet"}
    assert door["root"].put("/limits/rpcutil.ping", json=wish).status_code == 200

    rows = [(row["kind"], row["actor"], row["subject"]) for row in door.audit()]

    assert rows == [
        ("limit.set", "root", "rpcutil.ping"),
        ("template.deleted", "edith", "look"),
        ("template.created", "edith", "look"),
    ]
