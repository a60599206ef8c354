"""Orgs, accounts, grants, tokens, settings and the audit on the command line."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from fleetjobs.cli.main import run
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.profile import Profile, read_profile, save_token
from fleetjobs.client.transport import Transport
from fleetjobs.names import JobId, NodeId
from fleetjobs.store.denials import deny
from tests.api_house import House
from tests.house_fleet import HouseTransport

Fj = Callable[..., tuple[int, str, str]]
PASSWORD = "correct horse battery"  # noqa: S105  of nobody


@pytest.fixture
def fj(
    house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Fj]:
    """Run a command line as somebody; its exit code, and what it printed."""
    with ExitStack() as stack:
        clients: dict[str, TestClient] = {}

        def call(who: str, *args: str) -> tuple[int, str, str]:
            if who not in clients:
                clients[who] = house.client(who)
                if len(clients) == 1:
                    stack.enter_context(clients[who])
            asked = HouseTransport(clients[who]).fleet
            monkeypatch.setattr(Fleet, "connect", classmethod(lambda _cls, _config=None: asked))
            code = run(args)
            out, err = capsys.readouterr()
            return code, out, err

        yield call


def items(said: tuple[int, str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(said[1])["items"]
    return found


@pytest.mark.spec("S2-22")
def test_a_fleet_admin_founds_an_org_and_says_where_they_act(fj: Fj) -> None:
    assert "made" in fj("root", "org", "create", "new")[1].lower()
    code, out, _ = fj("root", "--as-org", "new", "account", "create", "nora", "--role", "admin")
    assert (code, out) == (0, "Made: nora, admin of new\n")

    code, _, err = fj("root", "account", "disable", "nora")
    assert code == 1
    assert "--as-org new" in err
    assert fj("root", "--as-org", "new", "account", "disable", "nora")[0] == 0
    assert "disabled" in fj("root", "account", "show", "nora")[1]
    assert {item["name"] for item in items(fj("root", "org", "list", "--json"))} == {
        *("acme", "new", "other")
    }
    assert fj("root", "--as-org", "new", "account", "delete", "nora")[0] == 0
    code, _, err = fj("root", "org", "delete", "new")
    assert (code, "disable it instead" in err) == (1, True)


def test_an_account_is_made_changed_and_shown(fj: Fj) -> None:
    fj("ann", "account", "create", "otto")
    assert fj("ann", "account", "edit", "otto", "--role", "editor")[1].startswith("Changed: otto")
    assert fj("ann", "account", "edit", "otto")[0] == 1
    code, _, err = fj("ann", "account", "edit", "otto", "--role", "fleet-admin")
    assert (code, "ann is an admin" in err) == (1, True)
    assert fj("vera", "account", "show")[1].startswith("vera: viewer of acme; enabled")
    listed = fj("ann", "account", "list")[1]
    assert "otto" in listed
    assert "eve" not in listed


def test_grants_are_given_and_taken(fj: Fj) -> None:
    given = json.loads(
        fj("ann", "grant", "create", "olaf", "deny", "rpcutil.*", "-I", "web1", "--json")[1]
    )
    assert given["target"] == {"identities": ["web1"]}

    assert "deny everything of rpcutil.*" in fj("ann", "grant", "list", "olaf")[1]
    assert fj("ann", "grant", "delete", "olaf", given["id"])[0] == 0
    assert "role alone" in fj("olaf", "grant", "list", "olaf")[2]


def test_a_token_is_printed_once_and_revoked(fj: Fj) -> None:
    code, out, err = fj("olaf", "token", "create", "laptop", "--days", "1")
    assert (code, out.startswith("fjt_")) == (0, True)
    id_ = err.split()[1]

    assert out.strip() not in fj("olaf", "token", "list")[1]
    assert fj("olaf", "token", "revoke", id_)[1] == "Revoked: laptop of olaf\n"
    assert id_ not in fj("olaf", "token", "list")[1]
    assert id_ in fj("olaf", "token", "list", "--all")[1]


@pytest.mark.spec("S2-23")
def test_settings_are_switched_and_shared_schedules_shown(fj: Fj) -> None:
    name = "share_fleet_schedules"
    made = fj("root", "schedule", "create", "tidy", "rpcutil", "ping", "--every", "1h", "--fleet")
    assert made[0] == 0
    assert fj("ann", "schedule", "list", "--fleet")[2].startswith("The fleet has no schedules")

    assert fj("root", "setting", "set", name, "on")[1] == f"{name} is on\n"

    assert "on" in fj("root", "setting", "list")[1]
    shown = fj("ann", "schedule", "list", "--fleet")[1]
    assert "tidy" in shown
    assert "rpcutil.ping" in shown
    assert "(fleet)" in fj("root", "schedule", "list")[1]
    code, _, err = fj("ann", "schedule", "disable", "tidy")
    assert (code, "the fleet's" in err) == (1, True)


@pytest.mark.spec("S2-05")
def test_only_fleet_admins_make_schedules_of_the_fleet(fj: Fj) -> None:
    schedule = ("schedule", "create", "tidy", "rpcutil", "ping", "--every", "1h")

    assert fj("ann", *schedule, "--fleet")[0] == 1
    assert fj("ann", *schedule, "--org", "other")[0] == 1
    assert fj("ann", *schedule, "--org", "acme")[0] == 0
    assert fj("ann", *schedule)[0] == 1
    assert fj("root", *schedule, "--org", "other")[0] == 0


def test_the_audit_is_listed_and_verified(fj: Fj) -> None:
    fj("ann", "account", "create", "otto")
    fj("ann", "account", "edit", "otto", "--role", "viewer")
    fj("vera", "account", "create", "x")

    listed = fj("ann", "audit", "list")[1]
    assert "role: operator > viewer" in listed
    assert "refused" in listed
    (row,) = items(fj("root", "audit", "list", "--kind", "refused", "--json"))
    assert row["actor"] == "vera"
    code, out, _ = fj("root", "audit", "verify")
    assert (code, out.startswith("whole: 3 rows")) == (0, True)
    assert fj("root", "audit", "verify", "--head", "0" * 64)[0] == 2
    assert len(items(fj("root", "audit", "list", "-n", "2", "--json"))) == 2


def test_a_login_is_kept_for_its_owner_alone(
    fj: Fj, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.prompt", lambda *_, **__: PASSWORD)
    assert fj("olaf", "account", "password")[0] == 0
    path = tmp_path / "client.toml"
    inner = HouseTransport(house.client("olaf"))
    monkeypatch.setattr(Transport, "send", lambda _self, *a, **k: inner.send(*a, **k))

    code, _, err = fj("olaf", "--config", str(path), "login", "olaf", "--url", "http://h:1/")

    assert (code, "Logged in as olaf" in err) == (0, True)
    profile = read_profile(path)
    assert (profile.url, profile.account) == ("http://h:1", "olaf")
    assert profile.token.startswith("fjt_")
    assert path.stat().st_mode & 0o777 == 0o600
    code, _, err = fj("olaf", "--config", str(path), "logout")
    assert (code, "Logged out" in err, read_profile(path).token) == (0, True, "")
    tokens = items(fj("olaf", "token", "list", "--all", "--json"))
    assert [token["name"] for token in tokens if token["revoked_at"]] == ["login"]
    assert fj("olaf", "--config", str(path), "logout")[0] == 1


def test_a_login_keeps_the_key_of_the_same_account(tmp_path: Path) -> None:
    path = tmp_path / "client.toml"
    path.write_text('url = "http://h"\naccount = "ann"\norg = "acme"\nkey = "ann.pem"\n')

    save_token(path, url="http://h", account="ann", token="fjt_a")  # noqa: S106  of nobody
    assert read_profile(path).key_path == tmp_path / "ann.pem"
    save_token(path, url="http://h", account="bob", token="fjt_b")  # noqa: S106  of nobody
    assert read_profile(path).key_path is None


def test_who_acts_in_another_org_asks_there_in_its_name() -> None:
    profile = Profile(url="http://h", token="", org="acme", account="root")

    acting = Transport(profile.acting_in("other"))

    assert acting.profile == profile._replace(org="other", as_org="other")
    assert acting._headers("*/*")["As-Org"] == "other"


def test_why_a_run_was_denied_is_told_and_shown(fj: Fj, house: House) -> None:
    """By a right that was taken away since, as by a node itself."""
    job = fj("olaf", "submit", "rpcutil", "ping", "-I", "web1")[1].strip()
    with house.database.transaction() as connection:
        why = "olaf may not run rpcutil.ping any more"
        deny(connection, {(JobId(job), NodeId("web1")): why}, datetime.now(UTC))

    assert f"web1  paused (denied)  {why}" in fj("olaf", "job", "show", job)[1]
    (run_,) = json.loads(fj("olaf", "job", "show", job, "--json")[1])["runs"]
    assert (run_["reason"], run_["statusmsg"]) == ("denied", why)
