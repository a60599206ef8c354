"""Control over accounts: made, changed, set aside and deleted; each change is audited."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from fleetjobs.access import Role
from fleetjobs.control.ruling import Ruler, check_account, check_not_last, told
from fleetjobs.errors import Denied
from fleetjobs.signing import VerifyKey
from fleetjobs.store.access import (
    Account,
    AccountEntry,
    create_account,
    get_entry,
    set_account,
    set_verify_key,
)
from fleetjobs.store.database import Database
from fleetjobs.store.tokens import revoke_tokens


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of the org in which the ruler acts. Raises Refused, DatabaseAway."""

    database: Database
    clock: Callable[[], datetime]
    ruler: Ruler

    def create(self, name: str, *, role: Role, verify_key: VerifyKey | None = None) -> AccountEntry:
        """A new account. Raises Conflict, Denied, InvalidDocument."""
        account = Account(name=name, org=self.ruler.org, role=role, verify_key=verify_key)
        check_account(account)
        self.ruler.check_reach(role)
        with self.database.transaction() as connection:
            create_account(connection, account, now=self.clock())
            made = self._read(connection, name)
            self._note(connection, "account.created", name, after=told(made))
        return made

    def change(
        self,
        name: str,
        *,
        role: Role | None = None,
        disabled: bool | None = None,
        **key: VerifyKey | None,
    ) -> AccountEntry:
        """Have it be so from now on; what is not given stays. `verify_key` None: no key.

        What it asked for and may no longer run does not begin. Raises NotFound, Denied, Conflict.
        """
        with self.database.transaction() as connection:
            found = self.ruler.subject(connection, name)
            if role is not None and role is not found.role:
                self._change_role(connection, found, role)
            if disabled is not None and disabled != (found.disabled_at is not None):
                self._disable(connection, found, disabled=disabled)
            if key:
                set_verify_key(connection, name, key["verify_key"], now=self.clock())
            changed = self._read(connection, name)
            if told(changed) != told(found):
                self._note(
                    connection, "account.changed", name, before=told(found), after=told(changed)
                )
        return changed

    def delete(self, name: str) -> None:
        """Let it be gone; what it did stays, and nobody gets its name again.

        Raises NotFound, Denied, Conflict.
        """
        now = self.clock()
        with self.database.transaction() as connection:
            found = self.ruler.subject(connection, name)
            self.ruler.check_other(name, "account")
            if found.role is Role.FLEET_ADMIN:
                check_not_last(connection, name)
            set_account(connection, name, deleted_at=now, password=None)
            revoke_tokens(connection, name, now=now)
            self._note(connection, "account.deleted", name, before=told(found))

    def set_password(self, name: str, digest: str | None) -> None:
        """Let it log in by the password of that digest from now on; None: by none.

        Tokens that it has stay. Raises NotFound, Denied.
        """
        with self.database.transaction() as connection:
            if name == self.ruler.name:
                found = self._read(connection, name)
            else:
                found = self.ruler.subject(connection, name)
                if not self.ruler.role.reaches(Role.ADMIN):
                    raise Denied(f"{self.ruler.name} sets no password but their own")
            set_account(connection, name, password=digest)
            kind = "account.password_removed" if digest is None else "account.password_set"
            self._note(connection, kind, name, org=found.org)

    def _change_role(self, connection: Connection, found: AccountEntry, role: Role) -> None:
        self.ruler.check_other(found.name, "role")
        self.ruler.check_reach(role)
        check_account(dataclasses.replace(found, role=role))
        if found.role is Role.FLEET_ADMIN:
            check_not_last(connection, found.name)
        set_account(connection, found.name, role=role)

    def _disable(self, connection: Connection, found: AccountEntry, *, disabled: bool) -> None:
        self.ruler.check_other(found.name, "account")
        if disabled and found.role is Role.FLEET_ADMIN:
            check_not_last(connection, found.name)
        set_account(connection, found.name, disabled_at=self.clock() if disabled else None)

    def _read(self, connection: Connection, name: str) -> AccountEntry:
        found = get_entry(connection, name)
        if found is None:
            raise LookupError(f"the account {name} was there a moment ago")
        return found

    def _note(self, connection: Connection, kind: str, name: str, **more: Any) -> None:
        self.ruler.note(connection, kind, name, self.clock(), **more)
