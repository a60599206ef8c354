"""Parallel: how many runs of an action may be at work at once, and how many are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from fleetjobs.access import FLEET
from fleetjobs.control.noting import note
from fleetjobs.errors import NotFound
from fleetjobs.limits import Limit, Scope, check_limit
from fleetjobs.names import NodeId
from fleetjobs.signing import account_key_id
from fleetjobs.store.database import Database
from fleetjobs.store.events import add_event
from fleetjobs.store.lanes import Use, count_use
from fleetjobs.store.limits import delete_limit, list_limits, set_limit
from fleetjobs.store.nodes import list_interfaces, orgs_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A limit as an org sees it."""

    limit: Limit
    by: str | None  # None: the node's own, as the interface on it declares
    at: datetime | None
    use: Use  # of the org's own runs


@dataclass(frozen=True, slots=True)
class Parallel:
    """The limits' desk; each one transaction."""

    database: Database
    clock: Callable[[], datetime]
    address: str = ""  # from where it is asked, for the audit

    def list(self, *, org: str) -> "list[Shown]":
        """What concerns the org, by action: limits of the fleet, its own, and its nodes' own."""
        with self.database.reading() as connection:
            found = [
                Shown(
                    limit=kept.limit,
                    by=kept.by,
                    at=kept.at,
                    use=count_use(connection, kept.limit, org),
                )
                for kept in list_limits(connection)
                if _concerns(connection, kept.limit, org)
            ]
            known = {(each.limit.action, each.limit.scope, each.limit.name) for each in found}
            found += [
                Shown(limit=limit, by=None, at=None, use=count_use(connection, limit, org))
                for limit in _of_nodes(connection, org)
                if (limit.action, limit.scope, limit.name) not in known
            ]
        return sorted(found, key=lambda each: (each.limit.action, each.limit.scope))

    def set(self, limit: Limit, *, org: str, account: str) -> Limit:
        """Let no more be at work at once from now on. Raises InvalidDocument, NotFound."""
        check_limit(limit)
        with self.database.transaction() as connection:
            _check_name(connection, limit, org)
            before = _most(connection, limit)
            set_limit(connection, limit, by=account, now=self.clock())
            self._note(connection, "limit.set", limit, org, account, before, limit.most)
        return limit

    def delete(self, limit: Limit, *, org: str, account: str) -> None:
        """Let as many be at work as come. Raises NotFound."""
        with self.database.transaction() as connection:
            _check_name(connection, limit, org)
            before = _most(connection, limit)
            if not delete_limit(connection, limit):
                of = f" {limit.name}" if limit.name else ""
                raise NotFound(f"no limit of {limit.action} is set for {limit.scope}{of}")
            self._note(connection, "limit.deleted", limit, org, account, before, None)

    def _note(
        self,
        connection: Connection,
        kind: str,
        limit: Limit,
        org: str,
        account: str,
        before: int | None,
        after: int | None,
    ) -> None:
        detail = {"action": limit.action, "scope": limit.scope, "name": limit.name}
        add_event(
            connection,
            at=self.clock(),
            kind=kind,
            actor=account_key_id(account),
            detail=detail | {"max_parallel": limit.most},
        )
        note(
            self,
            connection,
            kind,
            limit.action,
            account=account,
            org=FLEET if limit.name is None else org,
            before=None if before is None else detail | {"max_parallel": before},
            after=None if after is None else detail | {"max_parallel": after},
        )


def _most(connection: Connection, limit: Limit) -> int | None:
    """How many that limit lets be at work so far; None: it is not set."""
    wanted = (limit.action, limit.scope, limit.name, limit.declared)
    for kept in list_limits(connection):
        found = kept.limit
        if (found.action, found.scope, found.name, found.declared) == wanted:
            return found.most
    return None


def _check_name(connection: Connection, limit: Limit, org: str) -> None:
    """Let pass what is the org's own. Raises NotFound."""
    if limit.name is not None and not _concerns(connection, limit, org):
        raise NotFound(f"there is no {limit.scope} {limit.name[:80]!r}")


def _concerns(connection: Connection, limit: Limit, org: str) -> bool:
    if limit.name is None:
        return True
    if limit.scope is Scope.NODE:
        node = NodeId(limit.name)
        return orgs_of(connection, [node]).get(node) == org
    return limit.name == org


def _of_nodes(connection: Connection, org: str) -> Iterator[Limit]:
    """What the interfaces on the org's nodes declare, and the nodes keep themselves."""
    lowest: dict[str, int] = {}
    for offer in list_interfaces(connection, org):
        for action in offer.interface.actions.values():
            if action.max_parallel is not None:
                most = lowest.get(str(action), action.max_parallel)
                lowest[str(action)] = min(most, action.max_parallel)
    for limited, most in sorted(lowest.items()):
        yield Limit(action=limited, scope=Scope.NODE, most=most, declared=True)
