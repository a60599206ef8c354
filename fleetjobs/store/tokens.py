"""Tokens: what accounts show, kept as digests alone.

They are 256 random bits, so SHA-256 is enough: there is nothing to guess that a slow hash would
protect. Passwords, which people choose, are hashed slowly; see `control.passwords`.
"""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from secrets import token_urlsafe

from sqlalchemy import Connection, RowMapping, insert, select, update

from fleetjobs.errors import NotFound
from fleetjobs.store.access import Account, account_of, get_account, is_enabled
from fleetjobs.store.schema.accounts import accounts, orgs, tokens

TOKEN_PREFIX = "fjt_"  #: makes a leaked token easy to find  # noqa: S105  no secret
ID_LENGTH = 16  #: of the digest, so much is shown to name a token


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is known of a token."""

    id: str  # the beginning of its digest
    account: str
    org: str  # of the account
    name: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


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


def revoke_tokens(
    connection: Connection, account: str, *, name: str | None = None, now: datetime
) -> int:
    """Let the account's tokens of that name, or all of them, count no longer; how many."""
    change = update(tokens).where(tokens.c.account == account, tokens.c.revoked_at.is_(None))
    if name is not None:
        change = change.where(tokens.c.name == name)
    return connection.execute(change.values(revoked_at=now)).rowcount


def revoke_token(connection: Connection, token: Token, *, now: datetime) -> None:
    """Let it count no longer; twice is once."""
    of_id = tokens.c.sha256.startswith(token.id, autoescape=True)
    change = update(tokens).where(of_id, tokens.c.revoked_at.is_(None))
    connection.execute(change.values(revoked_at=now))


def account_of_token(connection: Connection, token: str, now: datetime) -> Account | None:
    """Whose token it is; None if it is unknown, expired or revoked, or the account disabled.

    It is looked up by its digest: how long that takes tells nothing about any token.
    """
    query = (
        select(accounts)
        .join(tokens, tokens.c.account == accounts.c.name)
        .join(orgs, orgs.c.name == accounts.c.org)
        .where(
            tokens.c.sha256 == token_digest(token),
            tokens.c.revoked_at.is_(None),
            tokens.c.expires_at.is_(None) | (tokens.c.expires_at > now),
            *is_enabled(),
        )
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else account_of(row)


def get_token(connection: Connection, id: str) -> Token | None:  # noqa: A002  as in every document
    """The token of that id; None if there is none, or too little of it was given."""
    if len(id) != ID_LENGTH or not id.isalnum():
        return None
    query = _LISTING.where(tokens.c.sha256.startswith(id, autoescape=True))
    row = connection.execute(query).mappings().first()
    return None if row is None else _token(row)


def list_tokens(
    connection: Connection,
    *,
    org: str | None,
    account: str | None = None,
    after: str | None = None,
    limit: int,
) -> list[Token]:
    """Tokens by id, those behind an id if given; `org` None: everybody's."""
    query = _LISTING
    if org is not None:
        query = query.where(accounts.c.org == org)
    if account is not None:
        query = query.where(tokens.c.account == account)
    if after is not None:
        query = query.where(tokens.c.sha256 > after + "g")  # behind all that begin so
    query = query.order_by(tokens.c.sha256).limit(limit)
    return [_token(row) for row in connection.execute(query).mappings()]


def token_digest(token: str) -> str:
    """What is kept of a token."""
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


_LISTING = select(tokens, accounts.c.org).join(accounts, accounts.c.name == tokens.c.account)


def _token(row: RowMapping) -> Token:
    names = ("account", "org", "name", "created_at", "expires_at", "revoked_at")
    return Token(id=row["sha256"][:ID_LENGTH], **{name: row[name] for name in names})
