"""Access: orgs, accounts and tokens; who may ask, and for whom."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from secrets import token_urlsafe

from sqlalchemy import Connection, RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError

from fleetjobs.errors import Conflict, NotFound
from fleetjobs.signing import VerifyKey
from fleetjobs.store.schema import accounts, orgs, tokens

TOKEN_PREFIX = "fjt_"  #: makes a leaked token easy to find  # noqa: S105  no secret


class Role(StrEnum):
    """What an account may do in its org."""

    ADMIN = "admin"  # all, and enroll nodes
    OPERATOR = "operator"  # look and submit
    VIEWER = "viewer"  # look


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person or robot of one org."""

    name: str
    org: str
    role: Role
    verify_key: VerifyKey | None  # None: the server signs what it asks for


def create_org(connection: Connection, name: str, *, now: datetime) -> None:
    """A new org. Raises Conflict if there is one of that name."""
    try:
        connection.execute(insert(orgs).values(name=name, created_at=now))
    except IntegrityError:
        raise Conflict(f"there is an org {name!r} already") from None


def has_org(connection: Connection, name: str) -> bool:
    """Whether there is an org of that name."""
    return connection.execute(select(orgs.c.name).where(orgs.c.name == name)).first() is not None


def create_account(connection: Connection, account: Account, *, now: datetime) -> None:
    """A new account. Raises Conflict if its name is taken, in any org; NotFound without its org.

    Names are unique over all orgs, because nodes know an account's key by name alone.
    """
    if not has_org(connection, account.org):
        raise NotFound(f"there is no org {account.org!r}")
    values = {
        "name": account.name,
        "org": account.org,
        "role": account.role,
        "verify_key": account.verify_key.text if account.verify_key else None,
        "created_at": now,
    }
    try:
        connection.execute(insert(accounts).values(values))
    except IntegrityError:
        raise Conflict(f"there is an account {account.name!r} already") from None


def get_account(connection: Connection, name: str) -> Account | None:
    """The account of that name, unless it is disabled."""
    query = select(accounts).where(accounts.c.name == name, accounts.c.disabled_at.is_(None))
    row = connection.execute(query).mappings().first()
    return None if row is None else _account(row)


def set_verify_key(connection: Connection, account: str, key: VerifyKey) -> None:
    """Believe this key to be the account's from now on. Raises NotFound."""
    change = update(accounts).where(accounts.c.name == account).values(verify_key=key.text)
    if not connection.execute(change).rowcount:
        raise NotFound(f"there is no account {account!r}")


def disable_account(connection: Connection, account: str, *, now: datetime) -> None:
    """Let none of its tokens count any longer. Raises NotFound."""
    change = update(accounts).where(accounts.c.name == account).values(disabled_at=now)
    if not connection.execute(change).rowcount:
        raise NotFound(f"there is no account {account!r}")


def create_token(
    connection: Connection,
    account: str,
    *,
    name: str,
    now: datetime,
    expires_at: datetime | None = None,
) -> str:
    """A new token of the account: returned once, kept as its digest. Raises NotFound."""
    if get_account(connection, account) is None:
        raise NotFound(f"there is no account {account!r}")
    token = TOKEN_PREFIX + token_urlsafe(32)
    connection.execute(
        insert(tokens).values(
            sha256=token_digest(token),
            account=account,
            name=name,
            created_at=now,
            expires_at=expires_at,
        )
    )
    return token


def revoke_tokens(connection: Connection, account: str, *, name: str, now: datetime) -> int:
    """Let the account's tokens of that name count no longer; how many they were."""
    change = (
        update(tokens)
        .where(tokens.c.account == account, tokens.c.name == name, tokens.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    return connection.execute(change).rowcount


def account_of_token(connection: Connection, token: str, now: datetime) -> Account | None:
    """Whose token it is; None if it is unknown, expired or revoked, or the account disabled.

    It is looked up by its digest: how long that takes tells nothing about any token.
    """
    query = (
        select(accounts)
        .join(tokens, tokens.c.account == accounts.c.name)
        .where(
            tokens.c.sha256 == token_digest(token),
            tokens.c.revoked_at.is_(None),
            tokens.c.expires_at.is_(None) | (tokens.c.expires_at > now),
            accounts.c.disabled_at.is_(None),
        )
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else _account(row)


def token_digest(token: str) -> str:
    """What is kept of a token."""
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _account(row: RowMapping) -> Account:
    key = row["verify_key"]
    return Account(
        name=row["name"],
        org=row["org"],
        role=Role(row["role"]),
        verify_key=VerifyKey.from_text(key) if key else None,
    )
