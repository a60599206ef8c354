"""What `up` writes: once what is the owner's, at each start what must be true."""

import json
import tomllib
from pathlib import Path

import pytest

from fleetjobs.client.profile import read_profile
from fleetjobs.policy import read_policy
from fleetjobs.programs.premises import (
    ACCOUNT,
    Premises,
    default_state,
    identities,
    prepare,
    write_profile,
    write_settings,
)
from fleetjobs.programs.settings import NodeSettings, load_settings
from fleetjobs.signing import SigningKey, VerifyKey

NODES = identities(3)


@pytest.fixture
def premises(tmp_path: Path) -> Premises:
    """Premises that are ready for three nodes."""
    premises = Premises(tmp_path / "state")
    prepare(premises, NODES)
    return premises


def test_nodes_differ_so_that_targets_can_be_tried(premises: Premises) -> None:
    directories = [premises.node(identity) for identity in NODES]

    assert len({(path / "facts.d" / "site.json").read_text() for path in directories}) == 3
    assert len({(path / "classes").read_text() for path in directories}) > 1
    rings = [json.loads((path / "facts.d" / "ring.json").read_text()) for path in directories]
    assert rings == [{"ring": "canary"}, {"ring": "first"}, {"ring": "rest"}]


def test_preparing_twice_changes_no_key_and_no_policy(premises: Premises) -> None:
    (premises.root / "policy.toml").write_text("# mine\n")
    before = {path: path.read_text() for path in premises.root.rglob("*.*") if path.is_file()}

    prepare(premises, NODES)

    assert before == {path: path.read_text() for path in before}


def test_nodes_trust_the_keys_that_sign(premises: Premises) -> None:
    key = SigningKey.load("account:admin", premises.account_key)

    trusted = VerifyKey.from_text((premises.root / "trust" / "account:admin.pub").read_text())

    assert trusted == key.verify_key


def test_the_first_policy_lets_the_owner_do_all_and_others_look(premises: Premises) -> None:
    policy = read_policy((premises.root / "policy.toml").read_text())
    node = {"facts": {}, "classes": frozenset[str]()}

    policy.check(caller=ACCOUNT, signer="server", agent="package", action="update", **node)
    policy.check(caller="eve", signer="server", agent="rpcutil", action="ping", **node)
    with pytest.raises(Exception, match="no rule"):
        policy.check(caller="eve", signer="server", agent="package", action="update", **node)


def test_what_is_written_for_a_node_can_be_read_by_it(premises: Premises) -> None:
    write_settings(premises, NODES, broker="redis://h/0", database="sqlite:///x", port=8800)

    settings = load_settings(NodeSettings, premises.node_settings("node2"), {})

    assert settings.identity == "node2"
    assert settings.key.exists()
    assert settings.policy.exists()
    assert settings.trust.is_dir()
    assert [path.is_dir() for path in settings.agents] == [True]


def test_the_profile_works_for_the_command_line_and_is_private(premises: Premises) -> None:
    write_profile(premises, port=8800, token="fjt_x")  # noqa: S106  not a real one

    profile = read_profile(premises.client)

    assert profile.url == "http://127.0.0.1:8800"
    assert profile.key_path is not None
    assert profile.key_path.exists()
    assert premises.client.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["keys/admin.pem", "nodes/node1/key.pem", "nodes", "keys"])
def test_what_is_secret_is_for_its_owner_only(premises: Premises, name: str) -> None:
    assert (premises.root / name).stat().st_mode & 0o077 == 0


def test_a_persons_fleet_lives_where_the_command_line_looks() -> None:
    assert default_state({"HOME": "/h"}) == Path("/h/.local/share/fleetjobs")
    assert default_state({"HOME": "/h", "XDG_DATA_HOME": "/d"}) == Path("/d/fleetjobs")


def test_settings_are_plain_toml(premises: Premises) -> None:
    write_settings(premises, NODES, broker='redis://:"@h/0', database="sqlite:///x", port=8800)

    document = tomllib.loads(premises.settings("coordinator").read_text())

    assert document["broker"] == 'redis://:"@h/0'


def test_what_the_owner_sets_beside_it_stays(premises: Premises) -> None:
    place = premises.settings("coordinator")
    write_settings(premises, NODES, broker="redis://a", database="sqlite:///a", port=1)
    place.write_text(place.read_text() + 'smtp_host = "mail.example.org"\n')

    write_settings(premises, NODES, broker="redis://b", database="sqlite:///a", port=1)

    kept = tomllib.loads(place.read_text())
    assert (kept["broker"], kept["smtp_host"]) == ("redis://b", "mail.example.org")
