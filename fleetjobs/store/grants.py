"""Grants in the database, and with them all that says what an account may do."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, bindparam, delete, insert, select

from fleetjobs.access import Effect, Grant, Rights, Role, Verb
from fleetjobs.store.epochs import RIGHTS, advance
from fleetjobs.store.schema.accounts import accounts, grants, orgs
from fleetjobs.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantEntry:
    """A grant, and whose it is."""

    grant: Grant
    account: str
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What an account may do, and since when its key is its key."""

    rights: Rights
    verify_key: str | None  # base64url
    key_changed_at: datetime | None  # None: no other one was before it


def insert_grant(connection: Connection, entry: GrantEntry) -> None:
    """Keep a grant."""
    connection.execute(
        insert(grants).values(
            **entry.grant.document,
            account=entry.account,
            created_at=entry.created_at,
            created_by=entry.created_by,
        )
    )
    advance(connection, RIGHTS)


def delete_grant(connection: Connection, id: str) -> None:  # noqa: A002  as in every document
    """Forget a grant."""
    connection.execute(delete(grants).where(grants.c.id == id))
    advance(connection, RIGHTS)


def list_grants(connection: Connection, account: str) -> list[GrantEntry]:
    """The account's grants, in the order in which they were given."""
    found = connection.execute(_GRANTS, {"account": account}).mappings()
    return [_entry(row) for row in found]


def read_standing(connection: Connection, account: str) -> Standing | None:
    """What the account may do; None if there never was one of that name."""
    row = connection.execute(_ACCOUNT, {"account": account}).mappings().one_or_none()
    if row is None:
        return None
    ends = (row["disabled_at"], row["deleted_at"], row["org_disabled_at"])
    rights = Rights(
        account=account,
        org=row["org"],
        role=Role(row["role"]),
        is_disabled=any(end is not None for end in ends),
        grants=tuple(entry.grant for entry in list_grants(connection, account)),
    )
    return Standing(
        rights=rights, verify_key=row["verify_key"], key_changed_at=row["key_changed_at"]
    )


_GRANTS = (
    select(grants)
    .where(grants.c.account == bindparam("account"))
    .order_by(grants.c.created_at, grants.c.id)
)
_ACCOUNT = (
    select(accounts, orgs.c.disabled_at.label("org_disabled_at"))
    .join(orgs, orgs.c.name == accounts.c.org)
    .where(accounts.c.name == bindparam("account"))
)


def _entry(row: RowMapping) -> GrantEntry:
    target: Any = row["target"]
    grant = Grant(
        id=row["id"],
        effect=Effect(row["effect"]),
        verbs=frozenset(Verb(verb) for verb in row["verbs"]),
        actions=tuple(row["actions"]),
        target=None if target is None else msgspec.convert(target, Target),
    )
    names = ("account", "created_at", "created_by")
    return GrantEntry(grant=grant, **{name: row[name] for name in names})
