"""Limits in the database: set by admins, or declared by interfaces.

What is at work when an action gets its first limit has its slot from then on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, and_, delete, exists, func, or_, select, update

from fleetjobs.interfaces import Interface
from fleetjobs.limits import Ceilings, Limit, Scope
from fleetjobs.states import Reason, State, WaitReason
from fleetjobs.store import dialect
from fleetjobs.store.bells import DISPATCH
from fleetjobs.store.database import ring
from fleetjobs.store.schema.gates import limits
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.runs import runs

DECLARED = "interface"  #: who set what an interface declares
_AT_NODES = (State.QUEUED, State.RUNNING, State.CANCELLING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A limit, with who set it and when."""

    limit: Limit
    by: str
    at: datetime


def read_ceilings(connection: Connection, *, lock: bool = False) -> Ceilings:
    """All limits; with `lock` whoever else gives slots away waits until the transaction ends."""
    query = select(limits).order_by(limits.c.action, limits.c.scope, limits.c.name)
    rows = connection.execute(query.with_for_update() if lock else query)
    return Ceilings(_limit(row) for row in rows)


def list_limits(connection: Connection) -> list[Kept]:
    """All limits, by action."""
    query = select(limits).order_by(*limits.primary_key.columns)
    return [Kept(limit=_limit(row), by=row.by, at=row.at) for row in connection.execute(query)]


def _limit(row: Row[tuple[object, ...]]) -> Limit:
    return Limit(
        action=row.action,
        scope=Scope(row.scope),
        name=row.name or None,
        most=row.most,
        declared=row.declared,
    )


def set_limit(connection: Connection, limit: Limit, *, by: str, now: datetime) -> None:
    """Keep a limit, in the place of another one of the same."""
    first = not connection.execute(select(exists().where(limits.c.action == limit.action))).scalar()
    key = {"action": limit.action, "scope": limit.scope, "name": limit.name or ""}
    values = {"most": limit.most, "by": by, "at": now}
    statement = dialect.insert(connection, limits).values(**key, declared=limit.declared, **values)
    statement = statement.on_conflict_do_update(
        index_elements=list(limits.primary_key.columns), set_=values
    )
    connection.execute(statement)
    if first:
        _give_slots(connection, limit.action, now)
    ring(connection, DISPATCH)


def delete_limit(connection: Connection, limit: Limit) -> bool:
    """Forget a limit; False if there was none. Who waits for the last one of an action goes on."""
    known = limits.c.action == limit.action, limits.c.scope == limit.scope
    named = limits.c.name == (limit.name or ""), limits.c.declared == limit.declared
    gone = connection.execute(delete(limits).where(*known, *named)).rowcount > 0
    if not connection.execute(select(exists().where(limits.c.action == limit.action))).scalar():
        _dissolve(connection, limit.action)
    ring(connection, DISPATCH)
    return gone


def declare(
    connection: Connection, interfaces: Iterable[Interface], *, org: str, now: datetime
) -> None:
    """Keep what these declare for all nodes of an org, and nothing they no longer declare."""
    own = {interface.name: interface for interface in interfaces}
    wanted = {
        str(action): most
        for interface in own.values()
        for action in interface.actions.values()
        if (most := action.max_parallel_org) is not None
    }
    scope = (limits.c.scope == Scope.ORG, limits.c.name == org, limits.c.declared)
    known = {row.action: row.most for row in connection.execute(select(limits).where(*scope))}
    for action, most in wanted.items():
        if known.get(action) != most:
            limit = Limit(action=action, scope=Scope.ORG, name=org, most=most, declared=True)
            set_limit(connection, limit, by=DECLARED, now=now)
    for action in known.keys() - wanted.keys():
        if action.partition(".")[0] in own:
            limit = Limit(
                action=action, scope=Scope.ORG, name=org, most=known[action], declared=True
            )
            delete_limit(connection, limit)


def _give_slots(connection: Connection, action: str, now: datetime) -> None:
    """What nodes have of the action is counted from now on."""
    agent, _, name = action.partition(".")
    its = exists().where(jobs.c.id == runs.c.job, jobs.c.agent == agent, jobs.c.action == name)
    lost = and_(runs.c.state == State.PAUSED, runs.c.reason == Reason.LOST)
    at_nodes = or_(runs.c.state.in_(_AT_NODES), lost)
    connection.execute(
        update(runs)
        .where(at_nodes, runs.c.slot_at.is_(None), its)
        .values(lane=action, slot_at=func.coalesce(runs.c.handed_at, now))
    )


def _dissolve(connection: Connection, action: str) -> None:
    in_line = runs.c.lane == action, runs.c.slot_at.is_(None)
    free = {"lane": None, "lined_at": None, "rank": None}
    going = {"wait_reason": WaitReason.OUTBOX, "dispatch_at": runs.c.lined_at}
    connection.execute(update(runs).where(*in_line).values(**free, **going))
    has_slot = runs.c.lane == action, runs.c.slot_at.is_not(None)
    connection.execute(update(runs).where(*has_slot).values(**free, slot_at=None))
