"""Orgs, accounts and tokens, on each database."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, select

from fleetjobs.access import Role
from fleetjobs.errors import Conflict, NotFound
from fleetjobs.signing import SigningKey
from fleetjobs.store.access import (
    Account,
    create_account,
    create_org,
    get_account,
    set_account,
    set_verify_key,
)
from fleetjobs.store.database import Database
from fleetjobs.store.schema.accounts import tokens
from fleetjobs.store.tokens import account_of_token, create_token, revoke_tokens

NOW = datetime(2026, 12, 1, 4, tzinfo=UTC)
ANN = Account(name="ann", org="acme", role=Role.OPERATOR, verify_key=None)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A transaction on a database that has the org acme and its account ann."""
    database = Database.open(database_url)
    with database.transaction() as connection:
        create_org(connection, "acme", now=NOW)
        create_account(connection, ANN, now=NOW)
        yield connection
    database.close()


def test_a_token_names_its_account(connection: Connection) -> None:
    """And nothing else does."""
    token = create_token(connection, "ann", name="laptop", now=NOW)

    assert token.startswith("fjt_")
    assert account_of_token(connection, token, NOW) == ANN
    for other in ("", "fjt_", token[:-1], token + "x", token.upper(), "\udcff", "\x00"):
        assert account_of_token(connection, other, NOW) is None


def test_a_token_is_kept_as_its_digest_alone(connection: Connection) -> None:
    """A stolen database opens no door."""
    token = create_token(connection, "ann", name="laptop", now=NOW)

    (row,) = connection.execute(select(tokens)).mappings()
    assert token not in str(dict(row))
    assert account_of_token(connection, row["sha256"], NOW) is None


def test_a_token_ends_at_its_time(connection: Connection) -> None:
    """Not a moment later."""
    end = NOW + timedelta(days=1)
    token = create_token(connection, "ann", name="laptop", now=NOW, expires_at=end)

    assert account_of_token(connection, token, end - timedelta(seconds=1)) == ANN
    assert account_of_token(connection, token, end) is None


def test_a_revoked_token_counts_no_longer(connection: Connection) -> None:
    """The account's others do."""
    lost = create_token(connection, "ann", name="laptop", now=NOW)
    kept = create_token(connection, "ann", name="desk", now=NOW)

    assert revoke_tokens(connection, "ann", name="laptop", now=NOW) == 1
    assert revoke_tokens(connection, "ann", name="laptop", now=NOW) == 0
    assert account_of_token(connection, lost, NOW) is None
    assert account_of_token(connection, kept, NOW) == ANN


def test_a_disabled_account_has_no_way_in(connection: Connection) -> None:
    """No old token, and no new one."""
    token = create_token(connection, "ann", name="laptop", now=NOW)

    set_account(connection, "ann", disabled_at=NOW)

    assert account_of_token(connection, token, NOW) is None
    assert get_account(connection, "ann") is None
    with pytest.raises(NotFound):
        create_token(connection, "ann", name="laptop", now=NOW)


def test_an_account_gets_a_key(connection: Connection) -> None:
    """Its requests are then checked by it."""
    key = SigningKey.generate("account:ann").verify_key

    set_verify_key(connection, "ann", key, now=NOW)

    found = get_account(connection, "ann")
    assert found is not None
    assert found.verify_key == key


def test_what_does_not_exist_is_not_found(connection: Connection) -> None:
    """No account without an org, no token without an account."""
    stranger = Account(name="bob", org="nowhere", role=Role.VIEWER, verify_key=None)

    with pytest.raises(NotFound, match="nowhere"):
        create_account(connection, stranger, now=NOW)
    with pytest.raises(NotFound, match="bob"):
        create_token(connection, "bob", name="x", now=NOW)
    with pytest.raises(NotFound, match="bob"):
        set_verify_key(connection, "bob", SigningKey.generate("x").verify_key, now=NOW)


@pytest.mark.parametrize(
    "again",
    [
        lambda connection: create_org(connection, "acme", now=NOW),
        lambda connection: create_account(connection, ANN, now=NOW),
    ],
    ids=["org", "account"],
)
def test_a_name_is_given_once(connection: Connection, again: Callable[[Connection], None]) -> None:
    """A second of that name is a conflict."""
    with pytest.raises(Conflict):
        again(connection)
