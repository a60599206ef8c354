"""Every change over HTTP is a row of the audit, and so is every change that was refused."""

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleetjobs.api.refusals import READING, TRIALS
from fleetjobs.signing import SigningKey
from tests.api_house import House
from tests.unit.api.test_accounts import PASSWORD, Door

PING = {"agent": "rpcutil", "action": "ping"}
LATER = PING | {"not_before": (datetime.now(UTC) + timedelta(days=9)).isoformat()}
MAKING = {"jobs_submit", "plans_submit", "templates_run", "jobs_rerun"}
"""What only makes jobs: who asked, and when, is the first row of the job's own log."""
OUTSIDE = "testclient"  #: the address from which tests ask
BARE = {"account.password_set", "org.deleted", "org.disabled"}
"""Kinds that say all there is to say."""
TEXT = "name: look\naction: rpcutil.ping\n"
RULE = {"every_s": 3600}
OPENING = {"rule": {"cron": "0 1 * * *"}, "lasts_s": 3600}


@dataclass
class Walk:
    """Asks for one operation after the other, and looks at what the audit says of each."""

    door: Door
    places: dict[str, tuple[str, str]] = field(default_factory=dict)  # by operation
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    seen: int = 0  # the number of the latest row

    def __post_init__(self) -> None:
        for path, methods in self.door.house.app.openapi()["paths"].items():
            for method, operation in methods.items():
                if method.upper() not in READING:
                    self.places[operation["operationId"]] = (method, path)

    def do(
        self,
        operation: str,
        names: str = "",
        body: Any = None,
        *,
        by: str = "ann",
        **headers: str,
    ) -> Any:
        """Ask for it, with these names in its path; the answer."""
        method, path = self.places[operation]
        for name in filter(None, names.split(" ")):
            path = path.replace(path[path.index("{") : path.index("}") + 1], name, 1)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.door[by].request(
            method, path.removeprefix("/api/v1"), json=body, headers=given
        )
        assert answer.is_success, (operation, answer.text)
        rows = self.door.audit(limit=5)
        self.rows[operation] = [row for row in rows if row["seq"] > self.seen]
        self.seen = rows[0]["seq"] if rows else 0
        with contextlib.suppress(ValueError):
            return answer.json()
        return None


@pytest.fixture
def door(house: House) -> Iterator[Door]:
    with ExitStack() as stack:
        yield Door(house, stack)


@pytest.mark.spec("I11")
def test_each_operation_that_changes_anything_is_a_row_of_the_audit(door: Door) -> None:
    """Who, from where, of which org, what, and how it is now; one that is new fails here."""
    walk = Walk(door)

    of_people(walk)
    of_jobs(walk)
    of_schedules_and_templates(walk)
    of_the_fleet(walk)

    assert walk.places.keys() - TRIALS - MAKING == walk.rows.keys()
    silent = [name for name, rows in walk.rows.items() if not rows]
    assert silent == []
    for name, (row, *_) in walk.rows.items():
        assert row["actor"] in {"ann", "root"}, name
        assert row["address"] == OUTSIDE, name
        assert row["org"] in {"acme", "fresh", None}, name
        assert row["kind"] not in {"refused", ""}, name
    bare = {
        row["kind"] for (row, *_) in walk.rows.values() if not row["before"] and not row["after"]
    }
    assert bare == BARE
    assert door["root"].get("/audit/verify").json()["outcome"] == "whole"


def of_people(walk: Walk) -> None:
    """Orgs, accounts, grants, tokens, passwords, settings."""
    walk.do("orgs_create", body={"name": "fresh"}, by="root")
    walk.do("orgs_change", "fresh", {"disabled": True}, by="root")
    walk.do("orgs_delete", "fresh", by="root")
    walk.do("orgs_set_", "share_fleet_schedules", {"value": True}, by="root")
    walk.do("accounts_create", body={"name": "nora", "role": "viewer"})
    walk.do("accounts_change", "nora", {"role": "operator"})
    grant = walk.do("accounts_grant", "nora", {"effect": "deny", "actions": ["*"]})
    walk.do("accounts_ungrant", f"nora {grant['id']}")
    walk.do("accounts_delete", "nora")
    token = walk.do("tokens_create", body={"name": "laptop"})
    walk.do("tokens_revoke", token["id"])
    walk.do("tokens_set_password", "ann", {"password": PASSWORD})
    walk.do("tokens_login", body={"account": "ann", "password": PASSWORD})


def of_jobs(walk: Walk) -> None:
    """What a person may do to a job."""
    ann = walk.door["ann"]

    def made(body: Any = PING) -> str:
        return str(ann.post("/jobs", json=body).json()["id"])

    later = made(LATER)
    walk.do(
        "jobs_change", later, {"retries": 1}, If_Match=ann.get(f"/jobs/{later}").headers["etag"]
    )
    walk.do("jobs_hold", later)
    walk.do("jobs_release", later)
    walk.do("jobs_cancel", later)
    walk.do("jobs_remove", made())
    for verb in ("resume", "retry", "resolve"):
        lost = made()
        walk.door.house.begin(lost, "web1")
        walk.door.house.lose(lost, "web1")
        body = {"as": "failed"} if verb == "resolve" else None
        walk.do(f"jobs_{verb}", lost, body)
    for verb in ("skip", "rollback"):
        leg = {"key": "a", **PING, "target": {"identities": ["web1"]}, "on_failure": "pause"}
        plan = ann.post("/plans", json={"plan": {"name": "p", "legs": [leg]}}).json()["id"]
        (first,) = ann.get(f"/jobs/{plan}/legs").json()["items"]
        walk.door.house.begin(first["id"], "web1")
        walk.door.house.lose(first["id"], "web1")
        walk.do(f"jobs_{verb}", first["id"] if verb == "skip" else plan)


def of_schedules_and_templates(walk: Walk) -> None:
    """What makes jobs later."""
    schedule = {"label": "nightly", "work": {"call": PING}, "rule": RULE}
    walk.do("schedules_create", body=schedule)
    walk.do("schedules_change", "nightly", schedule | {"description": "x"})
    walk.do("schedules_amend", "nightly", {"description": "y"})
    walk.do("schedules_disable", "nightly")
    walk.do("schedules_enable", "nightly")
    walk.do("schedules_skip_next", "nightly", {"count": 2})
    walk.do("schedules_run_now", "nightly")
    walk.do("schedules_reinitialize")
    walk.do("schedules_delete", "nightly")
    walk.do("templates_create", body={"text": TEXT})
    walk.do("templates_change", "look", {"text": TEXT + "description: Look\n"})
    walk.do("templates_delete", "look")
    walk.do("templates_apply", body={"files": [{"name": "look.yaml", "text": TEXT}]})


def of_the_fleet(walk: Walk) -> None:
    """Nodes, limits, windows, pauses, notifications, coordinators."""
    key = SigningKey.generate("node:new1").verify_key.text
    walk.do("nodes_enroll", body={"identity": "new1", "verify_key": key})
    walk.do("nodes_remove", "new1")
    walk.do("limits_put", "rpcutil.ping", {"max_parallel": 2, "scope": "org", "name": "acme"})
    walk.do("limits_put", "rpcutil.ping", {"max_parallel": 2}, by="root")
    walk.do("limits_delete", "rpcutil.ping", by="root")
    window = {"name": "nights", "kind": "allowed", "openings": [OPENING]}
    walk.do("windows_create", body=window)
    walk.do("windows_put", "nights", window | {"kind": "blackout"})
    walk.do("windows_delete", "nights")
    walk.do("pauses_put", "node:web1", {"message": "a disk"})
    walk.do("pauses_delete", "node:web1")
    wish = walk.do("notifications_wish_for", body={"to": ["mail:ops@example.org"]})
    walk.do("notifications_drop", wish["id"])
    sent = walk.do("notifications_test", body={"to": "mail:ops@example.org"})
    walk.do("notifications_retry", sent["id"])
    for verb in ("pause", "resume", "stop"):
        walk.do(f"coordinator_{verb}", body={"message": "an upgrade"}, by="root")
    assert walk.door["ann"].post("/jobs", json=PING).status_code == 202
    walk.do("coordinator_clear")


def test_who_asked_for_a_job_is_in_the_jobs_own_log(door: Door) -> None:
    """Jobs are many, and are forgotten some day; the audit is not."""
    ann, walk = door["ann"], Walk(door)
    walk.do("templates_create", body={"text": TEXT})

    made = [
        walk.do("jobs_submit", body=PING),
        walk.do("plans_submit", body={"plan": {"name": "p", "legs": [{"key": "a", **PING}]}}),
        walk.do("templates_run", "look"),
    ]
    made.append(walk.do("jobs_rerun", made[0]["id"]))

    assert walk.rows.keys() == {"templates_create", *MAKING}
    for operation in MAKING:
        assert walk.rows[operation] == []
    for job in made:
        (first, *_) = ann.get(f"/jobs/{job['id']}/events").json()["items"]
        assert first["actor"] == "account:ann"


WRONG: dict[str, tuple[str, str, Any]] = {
    "an unknown action": ("POST", "/jobs", {"agent": "rpcutil", "action": "nothing"}),
    "an unknown node": ("POST", "/jobs", PING | {"target": {"identities": ["nobody"]}}),
    "another shape": ("POST", "/jobs", {"agent": 1}),
    "a cycle": (
        "POST",
        "/plans",
        {"plan": {"name": "p", "legs": [{"key": "a", **PING, "needs": ["a"]}]}},
    ),
    "an unknown zone": (
        "POST",
        "/schedules",
        {
            "label": "x",
            "work": {"call": PING},
            "rule": {"cron": "0 4 * * *", "zone": "Mars/Olympus"},
        },
    ),
    "another org's job": ("POST", "/jobs/019ab000-0000-7000-8000-000000000009/cancel", None),
    "an unknown parameter": ("DELETE", "/limits/rpcutil.ping?scop=org", None),
    "a template that is none": ("POST", "/templates", {"text": "name: [\n"}),
    "too long a path": ("DELETE", f"/tokens/{'x' * 200}", None),
    "a NUL": ("DELETE", "/limits/rpcutil%00.ping", None),
}


def test_a_change_that_is_refused_is_a_row_that_says_why(door: Door) -> None:
    """Typed, and on record with its code; nothing else of it is kept."""
    for what, (method, path, body) in WRONG.items():
        answer = door["ann"].request(method, path, json=body)

        assert 400 <= answer.status_code < 500, what
        row = door.audit(limit=1)[0]
        assert (row["kind"], row["actor"], row["address"]) == ("refused", "ann", OUTSIDE), what
        assert row["after"] == {"status": answer.status_code, "code": answer.json()["code"]}
        assert row["subject"].startswith(f"{method} /api/v1/")
        assert row["note"] == answer.json()["detail"]
    assert len(door.audit()) == len(WRONG)


def test_whoever_only_asks_is_written_down_when_they_may_not(door: Door) -> None:
    """A question with a mistake in it, or a trial of something wrong, changes nothing."""
    ann, vera = door["ann"], door["vera"]

    assert ann.get("/jobs", params={"limit": 0}).status_code == 422
    assert ann.get("/jobs/nothing").status_code == 404
    assert ann.post("/jobs/check", json={"agent": "x", "action": "y"}).status_code == 404
    assert ann.post("/templates/validate", json={"text": "name: ["}).status_code == 422
    assert ann.post("/schedules/preview", json={"cron": "x"}).status_code == 422
    assert door.audit() == []

    assert vera.get("/audit").status_code == 403
    assert [row["actor"] for row in door.audit()] == ["vera"]
