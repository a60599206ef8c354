"""Preparing a server: database, org, accounts, tokens, keys."""

import stat
from pathlib import Path

import pytest

from fleetjobs.access import Role
from fleetjobs.names import NodeId
from fleetjobs.programs.admin import main
from fleetjobs.programs.server import now
from fleetjobs.programs.settings import CoordinatorSettings, NodeSettings, load_settings
from fleetjobs.signing import SERVER, SigningKey, account_key_id
from fleetjobs.store.access import get_account
from fleetjobs.store.database import Database
from fleetjobs.store.nodes import get_node
from fleetjobs.store.tokens import account_of_token


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A server's settings."""
    path = tmp_path / "server.toml"
    database = f"sqlite:///{tmp_path / 'fleetjobs.sqlite'}"
    path.write_text(f'database = "{database}"\nkey = "keys/server.pem"\n')
    return str(path)


def test_init_makes_the_tables_the_org_and_the_key_once(config: str, tmp_path: Path) -> None:
    """A second time changes nothing."""
    assert main(["init", "--config", config]) == 0
    key = SigningKey.load(SERVER, tmp_path / "keys/server.pem").verify_key

    assert main(["init", "--config", config]) == 0
    assert SigningKey.load(SERVER, tmp_path / "keys/server.pem").verify_key == key
    assert stat.S_IMODE((tmp_path / "keys/server.pem").stat().st_mode) == 0o600


def test_an_account_gets_a_key_and_a_token(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The token is all that is printed, so that a script can take it."""
    main(["init", "--config", config])
    key = tmp_path / "ann.pem"
    account = ["account", "ann", "--config", config, "--role", "admin", "--key", str(key)]
    assert [main(account), main(account)] == [0, 0]
    capsys.readouterr()

    assert main(["token", "ann", "--config", config, "--days", "30"]) == 0

    token = capsys.readouterr().out.strip()
    database = Database.open(f"sqlite:///{tmp_path / 'fleetjobs.sqlite'}")
    with database.reading() as connection:
        found = account_of_token(connection, token, now())
        assert found == get_account(connection, "ann")
    database.close()
    assert found is not None
    assert found.role is Role.ADMIN
    assert found.verify_key == SigningKey.load(account_key_id("ann"), key).verify_key


def test_an_account_may_keep_its_private_key_to_itself(config: str, tmp_path: Path) -> None:
    """The public half is enough; it replaces the one before."""
    main(["init", "--config", config])
    keys = [SigningKey.generate(account_key_id("ann")).verify_key for _ in range(2)]

    for key in keys:
        assert main(["account", "ann", "--config", config, f"--verify-key={key.text}"]) == 0

    database = Database.open(f"sqlite:///{tmp_path / 'fleetjobs.sqlite'}")
    with database.reading() as connection:
        found = get_account(connection, "ann")
    database.close()
    assert found is not None
    assert found.verify_key == keys[1]


def test_what_cannot_be_done_is_said_and_is_no_success(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a line, without a traceback."""
    main(["init", "--config", config])
    main(["account", "ann", "--config", config])

    assert main(["account", "ann", "--config", config, "--role", "viewer"]) == 1
    assert "ann is operator of default already" in capsys.readouterr().err
    assert main(["token", "bob", "--config", config]) == 1
    assert "there is no account 'bob'" in capsys.readouterr().err
    assert main(["init", "--config", f"{config}.none"]) == 1


def test_with_a_broker_the_fleet_can_look_after_itself(
    config: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Named from where one stands; what is there already is left as it is."""
    monkeypatch.chdir(tmp_path)
    assert main(["init", "--config", "server.toml"]) == 0
    assert "there is no node @controller yet" in capsys.readouterr().out
    init = ["init", "--config", "server.toml", "--broker", "redis://127.0.0.1/3"]
    assert main(init) == 0
    (tmp_path / "controller" / "policy.toml").write_text("# mine\n")
    capsys.readouterr()

    assert main(init) == 0

    assert "made" not in capsys.readouterr().out
    assert (tmp_path / "controller" / "policy.toml").read_text() == "# mine\n"
    node = load_settings(NodeSettings, Path("controller/node.toml"), {})
    assert (node.identity, node.broker) == ("@controller", "redis://127.0.0.1/3")
    assert node.trust == tmp_path / "controller" / "trust"
    assert {path.name for path in node.trust.iterdir()} == {"coordinator.pub", "server.pub"}
    coordinator = load_settings(CoordinatorSettings, Path("coordinator.toml"), {})
    assert coordinator.server_key == tmp_path / "keys" / "server.pem"
    assert (node.environments / "fleet").read_text() == f"FLEETJOBS_SERVER_CONFIG={config}\n"
    assert stat.S_IMODE((tmp_path / "coordinator.toml").stat().st_mode) == 0o600
    database = Database.open(f"sqlite:///{tmp_path / 'fleetjobs.sqlite'}")
    with database.reading() as connection:
        assert get_node(connection, NodeId("@controller"), org="default") is not None
    database.close()
