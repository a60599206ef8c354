"""Counts: how many of an org's jobs and runs stand where."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import Connection, Executable, bindparam, func, select, text

from fleetjobs.jobs import Pending
from fleetjobs.names import JobId, NodeId
from fleetjobs.states import State
from fleetjobs.store import dialect
from fleetjobs.store.columns import Moment
from fleetjobs.store.schema.jobs import HAS_NOT_ENDED, jobs
from fleetjobs.store.schema.runs import IS_LIVE, runs


@dataclass(frozen=True, slots=True)
class JobCounts:
    """Jobs by state, and those that wait for a person."""

    states: Counter[State]
    attention: int


def count_jobs(connection: Connection, org: str) -> JobCounts:
    """How the org's jobs stand, all of them."""
    query = (
        select(jobs.c.state, jobs.c.attention, func.count())
        .where(jobs.c.org == org)
        .group_by(jobs.c.state, jobs.c.attention)
    )
    states: Counter[State] = Counter()
    attention = 0
    for state, needed, number in connection.execute(query):
        states[State(state)] += number
        attention += number if needed else 0
    return JobCounts(states, attention)


def count_pending(
    connection: Connection, names: Sequence[JobId]
) -> dict[JobId, dict[Pending, int]]:
    """How many runs of these jobs have been told what they have not confirmed."""
    found: dict[JobId, dict[Pending, int]] = {}
    for job, pending, number in connection.execute(_PENDING, {"ids": list(names)}):
        found.setdefault(job, {})[Pending(pending)] = number
    return found


_PENDING = (
    select(runs.c.job, runs.c.pending, func.count())
    .where(runs.c.job.in_(bindparam("ids", expanding=True)), runs.c.pending.is_not(None))
    .group_by(runs.c.job, runs.c.pending)
)


def count_undelivered(connection: Connection, org: str, before: datetime) -> int:
    """How many of the org's runs were due for hand-over before that time and still are."""
    query = select(func.count()).where(runs.c.org == org, runs.c.dispatch_at < before)
    return connection.execute(query).scalar_one()


def count_live_runs(connection: Connection, nodes: Sequence[NodeId]) -> dict[NodeId, int]:
    """How many runs each of these nodes has yet to do or has at work; none is left out."""
    query = _counting(sqlite=dialect.is_sqlite(connection))
    rows = connection.execute(query, dialect.name_values(connection, nodes))
    return dict.fromkeys(nodes, 0) | {row.node: row.number for row in rows}


@cache
def _counting(*, sqlite: bool) -> Executable:
    wanted = dialect.names(sqlite=sqlite)
    live = text(f"runs.{IS_LIVE}")
    return (
        select(runs.c.node, func.count().label("number"))
        .join_from(wanted, runs, (runs.c.node == wanted.c.name) & live)
        .group_by(runs.c.node)
    )


def has_live_jobs(connection: Connection, org: str, number: int) -> bool:
    """Whether so many of the org's jobs, or more, have not ended."""
    values = {"org": org, "before": number - 1}
    return connection.execute(_LIVE_BEHIND, values).first() is not None


_LIVE_BEHIND = (
    select(jobs.c.org)  # which the index has: none of the jobs is read
    .where(jobs.c.org == bindparam("org"), text(f"jobs.{HAS_NOT_ENDED}"))
    .offset(bindparam("before"))
    .limit(1)
)


def unanswered_since(connection: Connection, org: str, before: datetime) -> dict[NodeId, datetime]:
    """Since when nodes leave deliveries or orders lie that they were given before that time."""
    untold = (runs.c.state == State.QUEUED) & runs.c.stage.is_(None) & (runs.c.queued_at < before)
    unasked = runs.c.pending.is_not(None) & (runs.c.pending_at < before)
    since = func.min(func.coalesce(runs.c.pending_at, runs.c.queued_at), type_=Moment())
    query = (
        select(runs.c.node, since.label("since"))
        .where(runs.c.ask_at.is_not(None), runs.c.org == org, untold | unasked)
        .group_by(runs.c.node)
    )
    return {row.node: row.since for row in connection.execute(query)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unended:
    """Runs that have not ended."""

    at_work: int
    with_nodes: int  # handed over, and not known to have begun
    waiting: int  # not handed over, or set aside


def count_unended(connection: Connection, *, org: str | None, node: str | None) -> Unended:
    """How many of an org's runs, or of a node's, have not ended."""
    query = select(runs.c.state, func.count()).where(text(f"runs.{IS_LIVE}"))
    query = query.where(runs.c.org == org) if org is not None else query
    query = query.where(runs.c.node == node) if node is not None else query
    rows = connection.execute(query.group_by(runs.c.state))
    found: Counter[State] = Counter({State(state): number for state, number in rows})
    at_work = found[State.RUNNING] + found[State.CANCELLING]
    with_nodes = found[State.QUEUED]
    return Unended(
        at_work=at_work,
        with_nodes=with_nodes,
        waiting=found.total() - at_work - with_nodes,
    )
