"""Events: the append-only log; a job's are written with its row locked, in the order of commits."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Executable, RowMapping, bindparam, func, insert, or_, select

from fleetjobs.jobs import Event
from fleetjobs.names import JobId, NodeId
from fleetjobs.states import State
from fleetjobs.store.bulk import write_rows
from fleetjobs.store.schema.records import events

_ADDING = insert(events)


def add_event(
    connection: Connection,
    *,
    at: datetime,
    kind: str,
    actor: str,
    org: str | None = None,
    job: JobId | None = None,
    node: NodeId | None = None,
    reason: str | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Log something that is no change of state. With a job, lock its row first."""
    row = event_row(
        at=at, kind=kind, actor=actor, org=org, job=job, node=node, reason=reason, detail=detail
    )
    connection.execute(_ADDING, row)


def why_ended(connection: Connection, jobs: Collection[JobId]) -> dict[JobId, str]:
    """Why these jobs ended that have no runs to say it; those of which nothing is known lack."""
    if not jobs:
        return {}
    query = select(events.c.job, events.c.detail).where(
        events.c.job.in_(sorted(jobs)), events.c.new.in_([State.FAILED, State.EXPIRED])
    )
    found = {row.job: (row.detail or {}).get("why") for row in connection.execute(query)}
    return {job: why for job, why in found.items() if why}


def add_events(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Log many, made by `event_row`, in this order."""
    if rows:
        write_rows(connection, _ADDING, rows)


def event_row(
    *,
    at: datetime,
    kind: str,
    actor: str,
    org: str | None,
    job: JobId | None = None,
    node: NodeId | None = None,
    old: State | None = None,
    new: State | None = None,
    reason: str | None = None,
    detail: dict[str, Any] | None = None,
    plan: JobId | None = None,
) -> dict[str, Any]:
    """An event before it has its number; `plan` is what the job is, or is a part of."""
    return {
        "at": at,
        "org": org,
        "job": job,
        "node": node,
        "kind": kind,
        "actor": actor,
        "old": old,
        "new": new,
        "reason": reason,
        "detail": detail or {},
        "plan": plan,
    }


def list_events(
    connection: Connection,
    *,
    org: str | None,
    job: JobId | None = None,
    plan: JobId | None = None,
    after: int = 0,
    limit: int,
    kinds: Sequence[str] = (),
) -> list[Event]:
    """Events numbered above `after`, in order; `org` None means every org's and nobody's.

    `plan`: of it and of all its parts. `kinds` are whole (`run.failed`) or, ending in a dot,
    beginnings (`run.`).
    """
    of = "job" if job is not None else "plan" if plan is not None else None
    query = _listing(of, org is not None, tuple(kinds))
    values = {"after": after, "limit": limit, "job": job, "plan": plan, "org": org}
    return [_event(row) for row in connection.execute(query, values).mappings()]


@lru_cache(maxsize=100)
def _listing(of: str | None, of_org: bool, kinds: tuple[str, ...]) -> Executable:  # noqa: FBT001  a cache's key
    query = select(events).where(events.c.seq > bindparam("after")).order_by(events.c.seq)
    query = query.limit(bindparam("limit"))
    if of is not None:
        query = query.where(events.c[of] == bindparam(of))
    if of_org and of is None:
        query = query.where(events.c.org == bindparam("org"))
    elif of_org:  # coalesce keeps SQLite from searching all of the org for the job's
        query = query.where(func.coalesce(events.c.org, "") == bindparam("org"))
    if kinds:
        whole = [kind for kind in kinds if not kind.endswith(".")]
        begin = [
            events.c.kind.startswith(kind, autoescape=True) for kind in set(kinds) - set(whole)
        ]
        same = [events.c.kind == kind for kind in whole]  # a list is written anew at each use
        query = query.where(or_(*same, *begin))
    return query


def _event(row: RowMapping) -> Event:
    return Event(**{name: row[name] for name in Event.__slots__})
