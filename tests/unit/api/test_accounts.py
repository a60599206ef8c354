"""Orgs, accounts, grants, tokens, passwords and the audit over HTTP."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from starlette.testclient import TestClient

from fleetjobs.signing import SigningKey
from fleetjobs.store.schema.accounts import accounts, tokens
from fleetjobs.store.schema.records import audit
from tests.api_house import House

ROOT = "/api/v1"
PASSWORD = "correct horse battery"  # noqa: S105  of nobody


class Door:
    """Clients by account, all of one running app."""

    def __init__(self, house: House, stack: ExitStack) -> None:
        self.house = house
        self._stack = stack
        self._clients: dict[str, TestClient] = {}

    def __getitem__(self, account: str) -> TestClient:
        if account not in self._clients:
            client = self.house.client(account)
            if not self._clients:
                self._stack.enter_context(client)
            client.base_url = client.base_url.join(ROOT)
            self._clients[account] = client
        return self._clients[account]

    def audit(self, **query: Any) -> list[dict[str, Any]]:
        """What the fleet admin reads."""
        items: list[dict[str, Any]] = self["root"].get("/audit", params=query).json()["items"]
        return items


@pytest.fixture
def door(house: House) -> Iterator[Door]:
    with ExitStack() as stack:
        yield Door(house, stack)


def test_a_fleet_admin_makes_an_org_and_its_first_admin(door: Door) -> None:
    made = door["root"].post("/orgs", json={"name": "new"})
    first = door["root"].post(
        "/accounts", json={"name": "nora", "role": "admin"}, headers={"As-Org": "new"}
    )

    assert (made.status_code, first.status_code) == (201, 201)
    assert first.json()["org"] == "new"
    assert [org["name"] for org in door["root"].get("/orgs").json()["items"]] == [
        *("acme", "new", "other")
    ]
    assert door["root"].post("/orgs", json={"name": "new"}).status_code == 409
    assert door["root"].delete("/orgs/new").status_code == 409
    assert door["root"].post("/orgs", json={"name": "@fleet"}).status_code == 400


@pytest.mark.spec("S2-10")
def test_nobody_sees_the_orgs_and_accounts_of_others(door: Door) -> None:
    ann = door["ann"]

    assert [org["name"] for org in ann.get("/orgs").json()["items"]] == ["acme"]
    assert ann.get("/orgs/other").status_code == 404
    names = {item["name"] for item in ann.get("/accounts").json()["items"]}
    assert names == {"ann", "edith", "olaf", "vera"}
    assert ann.get("/accounts/eve").status_code == 404
    assert ann.get("/accounts/eve/grants").status_code == 404
    assert ann.patch("/accounts/eve", json={"disabled": True}).status_code == 404
    assert ann.get("/accounts", params={"org": "other"}).json()["items"] == []
    assert ann.get("/orgs", headers={"As-Org": "other"}).status_code == 403


@pytest.mark.spec("S2-22")
def test_a_fleet_admin_sees_all_orgs_and_says_in_which_they_act(door: Door) -> None:
    root = door["root"]
    named = {"As-Org": "acme"}

    names = {item["name"] for item in root.get("/accounts").json()["items"]}
    assert {"ann", "eve", "root"} <= names
    silent = root.patch("/accounts/olaf", json={"disabled": True})
    said = root.patch("/accounts/olaf", json={"disabled": True}, headers=named)

    assert silent.status_code == 403
    assert "--as-org acme" in silent.json()["detail"]
    assert said.json()["disabled"]
    (entered,) = door.audit(kind="org.acted_in")
    assert (entered["actor"], entered["org"]) == ("root", "acme")
    assert entered["subject"] == "PATCH /api/v1/accounts/olaf"
    assert root.get("/jobs", headers={"As-Org": "nowhere"}).status_code == 404


def test_an_admin_looks_after_accounts_of_the_org_up_to_their_own_role(door: Door) -> None:
    ann = door["ann"]

    made = ann.post("/accounts", json={"name": "otto", "role": "operator"})
    assert made.status_code == 201
    assert made.headers["Location"] == "/api/v1/accounts/otto"
    assert ann.patch("/accounts/otto", json={"role": "editor"}).json()["role"] == "editor"
    assert ann.patch("/accounts/otto", json={"role": "fleet-admin"}).status_code == 403
    assert ann.post("/accounts", json={"name": "x", "role": "fleet-admin"}).status_code == 403
    assert ann.post("/accounts", json={"name": "otto", "role": "viewer"}).status_code == 409
    assert ann.post("/accounts", json={"name": "a/b", "role": "viewer"}).status_code == 400
    assert ann.post("/accounts", json={"name": "a", "role": "king"}).status_code == 422
    assert ann.patch("/accounts/ann", json={"role": "viewer"}).status_code == 403
    assert ann.delete("/accounts/otto").status_code == 204
    assert ann.get("/accounts/otto").status_code == 404
    assert ann.post("/accounts", json={"name": "otto", "role": "viewer"}).status_code == 409


@pytest.mark.parametrize("name", ["olaf", "edith", "vera"])
def test_who_is_no_admin_changes_no_account(door: Door, name: str) -> None:
    client = door[name]

    assert client.post("/accounts", json={"name": "x", "role": "viewer"}).status_code == 403
    assert client.patch("/accounts/vera", json={"disabled": True}).status_code == 403
    assert client.post("/orgs", json={"name": "x"}).status_code == 403
    assert client.get("/audit").status_code == 403
    assert client.get("/settings").status_code == 403
    assert client.get("/me").json()["name"] == name


def test_the_last_fleet_admin_stays(door: Door) -> None:
    root = door["root"]
    assert root.post("/accounts", json={"name": "rita", "role": "viewer"}).status_code == 400
    assert (
        root.post("/accounts", json={"name": "rita", "role": "fleet-admin"}).json()["org"] is None
    )
    rita = door.house.tokens["rita"] = root.post(
        "/tokens", json={"name": "x", "account": "rita"}
    ).json()["token"]

    assert rita.startswith("fjt_")
    assert door["rita"].delete("/accounts/root").status_code == 204
    assert door["rita"].get("/me").json()["role"] == "fleet-admin"
    assert door["rita"].delete("/accounts/rita").status_code == 403
    with door.house.database.reading() as connection:
        from fleetjobs.control.ruling import check_not_last
        from fleetjobs.errors import Conflict

    with (
        pytest.raises(Conflict, match="last fleet admin"),
        door.house.database.transaction() as connection,
    ):
        check_not_last(connection, "rita")


def test_a_token_is_shown_once_and_kept_as_its_digest(door: Door) -> None:
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    made = door["olaf"].post("/tokens", json={"name": "robot", "expires_at": until}).json()

    listed = door["olaf"].get("/tokens").json()["items"]
    assert {item["account"] for item in listed} == {"olaf"}
    assert "token" not in listed[0]
    with door.house.database.reading() as connection:
        kept = str(
            connection.execute(select(tokens)).all() + connection.execute(select(audit)).all()
        )
    assert made["token"] not in kept
    again = {"Authorization": f"Bearer {made['token']}"}
    assert door["ann"].get("/me", headers=again).json()["name"] == "olaf"

    assert door["olaf"].delete(f"/tokens/{made['id']}").json()["revoked_at"]
    assert door["ann"].get("/me", headers=again).status_code == 401


def test_tokens_of_others_are_an_admins_affair(door: Door) -> None:
    wish = {"name": "robot", "account": "vera"}

    assert door["olaf"].post("/tokens", json=wish).status_code == 403
    made = door["ann"].post("/tokens", json=wish).json()
    assert door["olaf"].delete(f"/tokens/{made['id']}").status_code == 404
    assert door["eve"].delete(f"/tokens/{made['id']}").status_code == 404
    assert door["ann"].post("/tokens", json={"name": "x", "account": "eve"}).status_code == 404
    assert door["ann"].post("/tokens", json={"name": "x", "account": "root"}).status_code == 404
    past = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    assert door["ann"].post("/tokens", json={"name": "x", "expires_at": past}).status_code == 400
    assert door["ann"].delete(f"/tokens/{made['id']}").status_code == 200


def test_grants_narrow_an_account_down(door: Door) -> None:
    wish = {"effect": "allow", "actions": ["rpcutil.get_*"], "verbs": ["run"]}
    made = door["ann"].post("/accounts/olaf/grants", json=wish).json()
    ping = {"agent": "rpcutil", "action": "ping"}

    refused = door["olaf"].post("/jobs", json=ping)

    assert refused.status_code == 403
    assert refused.json()["detail"] == "no grant allows olaf to run rpcutil.ping"
    (listed,) = door["olaf"].get("/accounts/olaf/grants").json()["items"]
    assert listed == made
    assert door["ann"].delete(f"/accounts/olaf/grants/{made['id']}").status_code == 204
    assert door["olaf"].post("/jobs", json=ping).status_code == 202
    assert door["ann"].delete(f"/accounts/olaf/grants/{made['id']}").status_code == 404


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"effect": "perhaps", "actions": ["*"]}, 422),
        ({"effect": "deny", "actions": []}, 422),
        ({"effect": "deny", "actions": ["a b"]}, 422),
        ({"effect": "deny", "actions": ["*"], "verbs": ["fly"]}, 422),
        ({"effect": "deny", "actions": ["*"], "target": {"facts": ["?"]}}, 422),
        ({"effect": "deny", "actions": ["*"], "target": {"limit": "5"}}, 422),
    ],
)
def test_a_grant_that_makes_no_sense_is_refused(
    door: Door, wish: dict[str, Any], status: int
) -> None:
    assert door["ann"].post("/accounts/olaf/grants", json=wish).status_code == status
    assert door["ann"].get("/accounts/olaf/grants").json()["items"] == []


def test_nobody_changes_their_own_grants(door: Door) -> None:
    wish = {"effect": "deny", "actions": ["*"]}

    assert door["ann"].post("/accounts/ann/grants", json=wish).status_code == 403


def test_a_password_lets_one_in_for_twelve_hours(door: Door) -> None:
    wish = {"account": "olaf", "password": PASSWORD}
    bare = TestClient(door.house.app, base_url=f"http://testserver{ROOT}")
    assert (
        door["olaf"].put("/accounts/olaf/password", json={"password": "short"}).status_code == 400
    )
    assert bare.post("/login", json=wish).status_code == 401
    put = door["olaf"].put("/accounts/olaf/password", json={"password": PASSWORD})
    assert put.status_code == 204

    made = bare.post("/login", json=wish)

    assert made.status_code == 201
    headers = {"Authorization": f"Bearer {made.json()['token']}"}
    me = bare.get("/me", headers=headers).json()
    assert (me["name"], me["has_password"]) == ("olaf", True)
    left = datetime.fromisoformat(made.json()["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=11) < left <= timedelta(hours=12)
    with door.house.database.reading() as connection:
        kept = connection.execute(
            select(accounts.c.password).where(accounts.c.name == "olaf")
        ).scalar_one()
    assert kept.startswith("$argon2id$")
    without = door["olaf"].put("/accounts/olaf/password", json={"password": None})
    assert without.status_code == 403
    (refused, *_) = door.audit(kind="login.refused")
    assert refused["subject"] == "olaf"
    assert PASSWORD not in str(door.audit())


def test_who_guesses_often_has_to_wait_and_learns_nothing(door: Door) -> None:
    """Names that nobody has are answered alike, and are not written down: anyone invents them."""
    bare = TestClient(door.house.app, base_url=f"http://testserver{ROOT}")

    answers = {
        name: [bare.post("/login", json={"account": name, "password": "wrong"}) for _ in range(6)]
        for name in ("vera", "nobody")
    }

    for found in answers.values():
        assert [answer.status_code for answer in found] == [401] * 5 + [429]
        assert found[0].headers["www-authenticate"] == "Bearer"
    said = {name: [answer.text for answer in found] for name, found in answers.items()}
    assert [text.replace("vera", "nobody") for text in said["vera"]] == said["nobody"]
    rows = door.audit(kind="login.refused")
    assert [(row["subject"], row["note"]) for row in rows] == [
        ("vera", "has to wait"),
        ("vera", ""),
    ]


def test_what_changes_is_written_down_without_secrets(door: Door) -> None:
    key = SigningKey.generate("account:olaf").verify_key.text
    door["ann"].patch("/accounts/olaf", json={"role": "editor", "verify_key": key})

    (row,) = door.audit(kind="account.changed")

    assert (row["actor"], row["org"], row["subject"]) == ("ann", "acme", "olaf")
    assert row["address"] == "testclient"
    assert row["before"] == {"role": "operator", "verify_key": None}
    assert row["after"] == {"role": "editor", "verify_key": key}


def test_who_is_refused_is_written_down(door: Door) -> None:
    door["vera"].post("/jobs", json={"agent": "rpcutil", "action": "ping"})

    (row,) = door.audit(kind="refused", actor="vera")

    assert row["subject"] == "POST /api/v1/jobs"
    assert "viewer" in row["note"]


def test_an_admin_reads_the_audit_of_the_org_alone(door: Door) -> None:
    door["eve"].post("/accounts", json={"name": "emil", "role": "viewer"})
    door["ann"].post("/accounts", json={"name": "otto", "role": "viewer"})

    seen = door["ann"].get("/audit").json()["items"]

    assert {row["org"] for row in seen} == {"acme"}
    assert {row["subject"] for row in door.audit(kind="account.created")} == {"emil", "otto"}
    assert door["ann"].get("/audit", params={"org": "other"}).json()["items"] == []
    first = door["root"].get("/audit", params={"limit": 1}).json()
    second = door["root"].get("/audit", params={"limit": 1, "cursor": first["next"]}).json()
    assert first["items"][0]["seq"] == second["items"][0]["seq"] + 1


@pytest.mark.spec("I11")
def test_a_row_that_was_changed_breaks_the_chain(door: Door) -> None:
    for name in ("a", "b", "c"):
        door["ann"].post("/accounts", json={"name": name, "role": "viewer"})
    whole = door["root"].get("/audit/verify").json()
    assert (whole["outcome"], whole["rows"]) == ("whole", 3)
    noted = {"head": whole["head"]}

    with door.house.database.transaction() as connection:
        connection.execute(update(audit).where(audit.c.seq == 2).values(actor="eve"))

    broken = door["root"].get("/audit/verify", params=noted).json()
    assert (broken["outcome"], broken["broken_at"]) == ("broken", 2)
    with door.house.database.transaction() as connection:
        connection.execute(audit.delete().where(audit.c.seq > 1))
    cut = door["root"].get("/audit/verify", params=noted).json()
    assert (cut["outcome"], cut["rows"], cut["has_noted"]) == ("broken", 1, False)


def test_a_setting_is_a_fleet_admins(door: Door) -> None:
    name = "share_fleet_schedules"
    found = door["root"].get("/settings").json()["items"]
    assert [(item["name"], item["value"]) for item in found] == [(name, False)]

    assert door["root"].put(f"/settings/{name}", json={"value": True}).json()["value"] is True
    assert door["ann"].put(f"/settings/{name}", json={"value": False}).status_code == 403
    assert door["root"].put("/settings/colour", json={"value": True}).status_code == 404
    (row,) = door.audit(kind="setting.changed")
    assert (row["before"], row["after"]) == ({"value": False}, {"value": True})


def test_a_disabled_org_does_nothing(door: Door) -> None:
    assert door["root"].patch("/orgs/other", json={"disabled": True}).json()["disabled"]
    assert door["eve"].get("/jobs").status_code == 401
    door["root"].patch("/orgs/other", json={"disabled": False})
    assert door["eve"].get("/jobs").status_code == 200
