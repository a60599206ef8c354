"""Ruling: who looks after orgs, accounts and grants, and over whom."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from fleetjobs.access import FLEET, Role, a
from fleetjobs.errors import Conflict, Denied, InvalidDocument, NotFound
from fleetjobs.store.access import Account, AccountEntry, count_fleet_admins, get_entry
from fleetjobs.store.audit import Author, add_record
from fleetjobs.store.bells import DISPATCH
from fleetjobs.store.database import ring
from fleetjobs.store.epochs import RIGHTS, advance

_NAME = re.compile(r"\A[^\x00-\x1f\x7f/@ ][^\x00-\x1f\x7f/]{0,127}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruler:
    """An account that rules, and the org in which it acts."""

    name: str
    org: str
    role: Role
    address: str = ""  # from where it asks

    @property
    def author(self) -> Author:
        """As the audit names it."""
        return Author(account=self.name, address=self.address)

    def subject(self, connection: Connection, name: str) -> AccountEntry:
        """An account that it may look after. Raises NotFound, Denied."""
        found = get_entry(connection, name)
        if found is None or (found.org != self.org and self.role is not Role.FLEET_ADMIN):
            raise NotFound(f"there is no account {name[:128]!r}")
        if found.org != self.org:
            raise Denied(f"{name} is of {place(found.org)}; to act there say {way(found.org)}")
        self.check_reach(found.role)
        return found

    def check_reach(self, role: Role) -> None:
        """Let a role pass that it may give, and look after. Raises Denied."""
        if not self.role.reaches(role):
            raise Denied(f"{self.name} is {a(self.role)} and {a(role)} is above that")

    def check_other(self, name: str, what: str) -> None:
        """Let pass what is about another account. Raises Denied."""
        if name == self.name:
            raise Denied(f"nobody changes their own {what}; ask another admin")

    def note(
        self,
        connection: Connection,
        kind: str,
        subject: str,
        now: datetime,
        *,
        org: str | None = None,
        before: Any = None,
        after: Any = None,
    ) -> None:
        """Write into the audit what was done, and have coordinators look again at who may what."""
        add_record(
            connection,
            at=now,
            author=self.author,
            kind=kind,
            subject=subject,
            org=org or self.org,
            before=before,
            after=after,
        )
        ring(connection, DISPATCH)


def check_not_last(connection: Connection, name: str) -> None:
    """Let pass what leaves a fleet admin besides this one. Raises Conflict."""
    advance(connection, RIGHTS)  # whoever removes another one at the same time waits
    if not count_fleet_admins(connection, but=[name]):
        raise Conflict(f"{name} is the last fleet admin; make another one first")


def check_account(account: Account) -> None:
    """Let an account pass that can be made. Raises InvalidDocument."""
    if not _NAME.match(account.name):
        raise InvalidDocument(
            f"{account.name[:60]!r} cannot be an account's name: at most 128 characters,"
            " no slash, and no @ or space in front"
        )
    if account.org == FLEET and account.role is not Role.FLEET_ADMIN:
        raise InvalidDocument(f"an account without an org is a fleet admin, not {a(account.role)}")


def check_org_name(name: str) -> None:
    """Let a name pass that an org can have. Raises InvalidDocument."""
    if not _NAME.match(name):
        raise InvalidDocument(
            f"{name[:60]!r} cannot be an org's name: at most 128 characters,"
            " no slash, and no @ or space in front"
        )


def told(account: Account) -> dict[str, Any]:
    """The account as the audit tells of it."""
    key = account.verify_key
    return {
        "name": account.name,
        "org": account.org,
        "role": account.role,
        "verify_key": None if key is None else key.text,
        "disabled": getattr(account, "disabled_at", None) is not None,
    }


def place(org: str) -> str:
    """The org in a sentence."""
    return "the fleet" if org == FLEET else f"the org {org}"


def way(org: str) -> str:
    """How one says in which org one acts."""
    return f"--as-org {org}, or the header `As-Org: {org}`"
