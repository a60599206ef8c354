"""Control over grants and tokens: what narrows an account down, and what it shows."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from uuid_utils.compat import uuid7

from fleetjobs.access import Effect, Grant, Role, Verb
from fleetjobs.control.ruling import Ruler
from fleetjobs.errors import Denied, InvalidDocument, InvalidTarget, NotFound
from fleetjobs.store.access import get_entry
from fleetjobs.store.database import Database
from fleetjobs.store.grants import GrantEntry, delete_grant, insert_grant, list_grants
from fleetjobs.store.tokens import (
    Token,
    create_token,
    get_token,
    list_tokens,
    revoke_token,
    token_digest,
)
from fleetjobs.targets import Target, check_target

MOST = 200  #: grants of one account
LONGEST = timedelta(days=3660)  #: a token that is to live longer is a mistake


@dataclass(frozen=True, slots=True)
class Grants:
    """The grants of accounts in the org in which the ruler acts. Raises Refused, DatabaseAway."""

    database: Database
    clock: Callable[[], datetime]
    ruler: Ruler

    def add(
        self,
        account: str,
        *,
        effect: Effect,
        verbs: frozenset[Verb],
        actions: tuple[str, ...],
        target: Target | None,
    ) -> GrantEntry:
        """One more. Raises NotFound, Denied, InvalidTarget, InvalidDocument."""
        if target is not None:
            _check(target)
        now = self.clock()
        grant = Grant(id=str(uuid7()), effect=effect, verbs=verbs, actions=actions, target=target)
        entry = GrantEntry(grant=grant, account=account, created_at=now, created_by=self.ruler.name)
        with self.database.transaction() as connection:
            self.ruler.subject(connection, account)
            self.ruler.check_other(account, "grants")
            if len(list_grants(connection, account)) >= MOST:
                raise InvalidDocument(f"{account} has {MOST} grants; that is all")
            insert_grant(connection, entry)
            self.ruler.note(connection, "grant.created", account, now, after=grant.document)
        return entry

    def remove(self, account: str, id: str) -> None:  # noqa: A002  as in every document
        """Take one away. Raises NotFound, Denied."""
        with self.database.transaction() as connection:
            self.ruler.subject(connection, account)
            self.ruler.check_other(account, "grants")
            found = {entry.grant.id: entry.grant for entry in list_grants(connection, account)}
            if id not in found:
                raise NotFound(f"{account} has no grant {id[:60]!r}")
            delete_grant(connection, id)
            before = found[id].document
            self.ruler.note(connection, "grant.deleted", account, self.clock(), before=before)


def _check(target: Target) -> None:
    check_target(target)
    if target.limit is not None or target.org is not None:
        raise InvalidTarget("a grant's target says which nodes, without limit and org")


@dataclass(frozen=True, slots=True)
class Tokens:
    """An account's own tokens; and those of accounts that it rules. Raises as Grants does."""

    database: Database
    clock: Callable[[], datetime]
    ruler: Ruler

    def create(
        self, account: str, *, name: str, expires_at: datetime | None = None
    ) -> tuple[str, Token]:
        """A new one, shown now and never again. Raises NotFound, Denied, InvalidDocument."""
        now = self.clock()
        if expires_at is not None and not now < expires_at <= now + LONGEST:
            raise InvalidDocument("expires_at: a time to come, within ten years")
        with self.database.transaction() as connection:
            if account != self.ruler.name:
                self._check_admin()
                self.ruler.subject(connection, account)
            text = create_token(connection, account, name=name, now=now, expires_at=expires_at)
            token = get_token(connection, token_digest(text)[:16])
            if token is None:
                raise LookupError("a token that was just made is gone")
            after = {"id": token.id, "name": name, "expires_at": expires_at}
            self.ruler.note(connection, "token.created", account, now, org=token.org, after=after)
        return text, token

    def revoke(self, id: str) -> Token:  # noqa: A002  as in every document
        """Let it count no longer, within seconds; twice is once. Raises NotFound, Denied."""
        now = self.clock()
        with self.database.transaction() as connection:
            token = get_token(connection, id)
            if token is None or not self._may_see(token):
                raise NotFound(f"there is no token {id[:60]!r}")
            if token.account != self.ruler.name:
                self.ruler.subject(connection, token.account)
            if token.revoked_at is None:
                revoke_token(connection, token, now=now)
                before = {"id": token.id, "name": token.name}
                self.ruler.note(
                    connection, "token.revoked", token.account, now, org=token.org, before=before
                )
            return get_token(connection, id) or token

    def list(
        self, *, account: str | None, org: str | None, after: str | None, limit: int
    ) -> list[Token]:
        """Tokens of an account, or of all that the ruler rules. Raises Denied, NotFound."""
        if not self.ruler.role.reaches(Role.ADMIN):
            if account not in {None, self.ruler.name}:
                self._check_admin()
            account, org = self.ruler.name, None
        with self.database.reading() as connection:
            if account is not None and get_entry(connection, account) is None:
                raise NotFound(f"there is no account {account[:128]!r}")
            return list_tokens(connection, org=org, account=account, after=after, limit=limit)

    def _check_admin(self) -> None:
        if not self.ruler.role.reaches(Role.ADMIN):
            raise Denied(f"{self.ruler.name} looks after no tokens but their own")

    def _may_see(self, token: Token) -> bool:
        if token.account == self.ruler.name:
            return True
        role = self.ruler.role
        rules = role.reaches(Role.ADMIN) and token.org == self.ruler.org
        return rules or role is Role.FLEET_ADMIN
