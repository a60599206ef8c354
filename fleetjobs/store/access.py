"""Access: orgs and accounts; who there is, and for whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from fleetjobs.access import FLEET, Role
from fleetjobs.errors import Conflict, NotFound
from fleetjobs.signing import VerifyKey
from fleetjobs.store.epochs import RIGHTS, advance
from fleetjobs.store.schema.accounts import accounts, orgs
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.nodes import nodes
from fleetjobs.store.schema.schedules import schedules


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person or robot of one org, or of the fleet."""

    name: str
    org: str  # FLEET: of none
    role: Role
    verify_key: VerifyKey | None  # None: the server signs what it asks for


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountEntry(Account):
    """An account, and what else is known of it."""

    created_at: datetime
    disabled_at: datetime | None = None  # none of its tokens counts
    has_password: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Org:
    """A tenant."""

    name: str
    created_at: datetime
    disabled_at: datetime | None = None  # its accounts may do nothing


def create_org(connection: Connection, name: str, *, now: datetime) -> None:
    """A new org. Raises Conflict if there is one of that name."""
    try:
        with connection.begin_nested():
            connection.execute(insert(orgs).values(name=name, created_at=now))
    except IntegrityError:
        raise Conflict(f"there is an org {name!r} already") from None


def has_org(connection: Connection, name: str) -> bool:
    """Whether there is an org of that name."""
    return connection.execute(select(orgs.c.name).where(orgs.c.name == name)).first() is not None


def list_orgs(connection: Connection) -> list[Org]:
    """All orgs by name; the fleet itself is none."""
    query = select(orgs).where(orgs.c.name != FLEET).order_by(orgs.c.name)
    return [Org(**row) for row in connection.execute(query).mappings()]


def set_org(connection: Connection, name: str, *, disabled_at: datetime | None) -> None:
    """Let its accounts do nothing from then on; None: let them go on."""
    change = update(orgs).where(orgs.c.name == name).values(disabled_at=disabled_at)
    connection.execute(change)
    advance(connection, RIGHTS)


def delete_org(connection: Connection, name: str) -> None:
    """Forget an org of which nothing is left. Raises Conflict naming what is."""
    for table in (accounts, nodes, jobs, schedules):
        if connection.execute(select(1).where(table.c.org == name).limit(1)).first():
            raise Conflict(f"{name} has {table.name} still; disable it instead")
    connection.execute(delete(orgs).where(orgs.c.name == name))


def create_account(connection: Connection, account: Account, *, now: datetime) -> None:
    """A new account. Raises Conflict if its name is taken, in any org; NotFound without its org.

    Names are unique over all orgs, and never given again, because nodes know an account's key, and
    policies the account, by name alone.
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
        with connection.begin_nested():
            connection.execute(insert(accounts).values(values))
    except IntegrityError:
        raise Conflict(f"there is, or was, an account {account.name!r} already") from None
    advance(connection, RIGHTS)


def get_account(connection: Connection, name: str) -> Account | None:
    """The account of that name, unless it, or its org, is disabled."""
    query = (
        select(accounts)
        .join(orgs, orgs.c.name == accounts.c.org)
        .where(accounts.c.name == name, *is_enabled())
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else account_of(row)


def org_of_account(connection: Connection, name: str) -> str | None:
    """The org of the account of that name, disabled or not; None if there is none."""
    query = select(accounts.c.org).where(accounts.c.name == name)
    return connection.execute(query).scalar()


def is_enabled() -> tuple[ColumnElement[bool], ...]:
    """Of `accounts` joined to `orgs`: that it may do anything at all."""
    return (
        accounts.c.disabled_at.is_(None),
        accounts.c.deleted_at.is_(None),
        orgs.c.disabled_at.is_(None),
    )


def get_entry(connection: Connection, name: str) -> AccountEntry | None:
    """The account of that name, disabled or not."""
    query = select(accounts).where(accounts.c.name == name, accounts.c.deleted_at.is_(None))
    row = connection.execute(query).mappings().first()
    return None if row is None else _entry(row)


def list_accounts(
    connection: Connection, *, org: str | None, after: str | None = None, limit: int
) -> list[AccountEntry]:
    """The org's accounts by name, those behind a name if given; `org` None: everybody's."""
    query = select(accounts).where(accounts.c.deleted_at.is_(None))
    if org is not None:
        query = query.where(accounts.c.org == org)
    if after is not None:
        query = query.where(accounts.c.name > after)
    query = query.order_by(accounts.c.name).limit(limit)
    return [_entry(row) for row in connection.execute(query).mappings()]


def set_verify_key(
    connection: Connection, account: str, key: VerifyKey | None, *, now: datetime
) -> bool:
    """Believe this key to be the account's from now on; None: none is. False if it was so.

    What another key signed before is not begun any more. Raises NotFound.
    """
    query = select(accounts.c.verify_key).where(accounts.c.name == account)
    found = connection.execute(query.with_for_update()).one_or_none()
    if found is None:
        raise NotFound(f"there is no account {account!r}")
    text = None if key is None else key.text
    if found.verify_key == text:
        return False
    values: dict[str, Any] = {"verify_key": text}
    if found.verify_key is not None:
        values["key_changed_at"] = now
    connection.execute(update(accounts).where(accounts.c.name == account).values(values))
    advance(connection, RIGHTS)
    return True


def set_account(connection: Connection, account: str, **columns: Any) -> None:
    """Give its columns other values. Raises NotFound."""
    change = update(accounts).where(accounts.c.name == account).values(columns)
    if not connection.execute(change).rowcount:
        raise NotFound(f"there is no account {account!r}")
    advance(connection, RIGHTS)


def password_of(connection: Connection, account: str) -> str | None:
    """The digest of its password, if it has one and may do anything at all."""
    query = (
        select(accounts.c.password)
        .join(orgs, orgs.c.name == accounts.c.org)
        .where(accounts.c.name == account, *is_enabled())
    )
    return connection.execute(query).scalar_one_or_none()


def count_fleet_admins(connection: Connection, *, but: Sequence[str] = ()) -> int:
    """How many accounts rule the fleet, and are not disabled; those named not counted."""
    query = (
        select(func.count())
        .select_from(accounts)
        .join(orgs, orgs.c.name == accounts.c.org)
        .where(accounts.c.role == Role.FLEET_ADMIN, accounts.c.name.not_in(but), *is_enabled())
    )
    return connection.execute(query).scalar_one()


def account_of(row: RowMapping) -> Account:
    """The account of a row."""
    return Account(**_fields(row))


def _entry(row: RowMapping) -> AccountEntry:
    more = {name: row[name] for name in ("created_at", "disabled_at")}
    return AccountEntry(**_fields(row), **more, has_password=row["password"] is not None)


def _fields(row: RowMapping) -> dict[str, Any]:
    key = row["verify_key"]
    return {
        "name": row["name"],
        "org": row["org"],
        "role": Role(row["role"]),
        "verify_key": VerifyKey.from_text(key) if key else None,
    }
