"""Events: the append-only log; a job's are written with its row locked, in the order of commits."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, or_, select

from fleetjobs.jobs import Event, JobId, NodeId
from fleetjobs.states import State
from fleetjobs.store.schema import events


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
    connection.execute(insert(events), row)


def add_events(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Log many, made by `event_row`, in this order."""
    if rows:
        connection.execute(insert(events), rows)


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
) -> dict[str, Any]:
    """An event before it has its number."""
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
    }


def list_events(
    connection: Connection,
    *,
    org: str | None,
    job: JobId | None = None,
    after: int = 0,
    limit: int,
    kinds: Sequence[str] = (),
) -> list[Event]:
    """Events numbered above `after`, in order; `org` None means every org's and nobody's.

    `kinds` are whole (`run.failed`) or, ending in a dot, beginnings (`run.`).
    """
    query = select(events).where(events.c.seq > after).order_by(events.c.seq).limit(limit)
    if job is not None:
        query = query.where(events.c.job == job)
    if org is not None and job is None:
        query = query.where(events.c.org == org)
    elif org is not None:  # coalesce keeps SQLite from searching all of the org for the job's
        query = query.where(func.coalesce(events.c.org, "") == org)
    if kinds:
        whole = [kind for kind in kinds if not kind.endswith(".")]
        begin = [
            events.c.kind.startswith(kind, autoescape=True) for kind in set(kinds) - set(whole)
        ]
        query = query.where(or_(events.c.kind.in_(whole), *begin))
    return [_event(row) for row in connection.execute(query).mappings()]


def _event(row: RowMapping) -> Event:
    return Event(**row)
