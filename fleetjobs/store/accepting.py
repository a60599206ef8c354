"""Accepting: new jobs and their runs, kept at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import Connection, Executable, bindparam, insert, select

from fleetjobs.jobs import Job
from fleetjobs.names import NodeId
from fleetjobs.rollouts import turns
from fleetjobs.signing import account_key_id
from fleetjobs.splay import splay_of
from fleetjobs.states import State, WaitReason
from fleetjobs.store import dialect
from fleetjobs.store.events import add_events, event_row
from fleetjobs.store.jobs import dump_course, dump_tally
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.runs import runs
from fleetjobs.store.standing import due_at


def insert_job(
    connection: Connection,
    job: Job,
    nodes: Sequence[NodeId],
    *,
    meaning: str,
    dispatch_at: datetime | None,
) -> bool:
    """Keep a new job, its runs and its first event; False if there is a job of that id.

    The runs stand as the job does, and are due for hand-over at `dispatch_at`; None: not yet.
    """
    row = job_columns(job, meaning)
    statement = _keeping(frozenset(row), sqlite=dialect.is_sqlite(connection))
    if connection.execute(statement, row).first() is None:
        return False
    insert_runs(connection, job, nodes, dispatch_at)
    add_events(connection, [_accepted(job, len(nodes))])
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A new job that waits for nothing and whose runs all stand as it does."""

    job: Job
    nodes: Sequence[NodeId]
    meaning: str
    dispatch_at: datetime | None


def insert_jobs(connection: Connection, found: Sequence[Plain]) -> None:
    """Keep many plain jobs as `insert_job` keeps one; those whose id is taken are left out."""
    rows = [job_columns(each.job, each.meaning) for each in found]
    if not rows:
        return
    statement = dialect.insert(connection, jobs).on_conflict_do_nothing().returning(jobs.c.id)
    kept = set(connection.execute(statement, rows).scalars())
    new = [each for each in found if each.job.id in kept]
    new_runs = [
        run_columns(each.job, each.dispatch_at) | {"node": node}
        for each in new
        for node in each.nodes
    ]
    if new_runs:
        connection.execute(insert(runs), new_runs)
    add_events(connection, [_accepted(each.job, len(each.nodes)) for each in new])


def _accepted(job: Job, nodes: int) -> dict[str, Any]:
    return event_row(
        at=job.created_at,
        org=job.org,
        job=job.id,
        kind="job.accepted",
        actor=account_key_id(job.caller),
        new=job.state,
        detail={"nodes": nodes},
    )


_COLUMNS = tuple(name for name in jobs.c.keys() if hasattr(Job, name))  # noqa: SIM118  no dict
_values = attrgetter(*_COLUMNS)


@cache
def _keeping(columns: frozenset[str], *, sqlite: bool) -> Executable:
    values: dict[str, Any] = {name: bindparam(name) for name in sorted(columns)}
    statement = dialect.inserting(jobs, sqlite=sqlite).values(values).on_conflict_do_nothing()
    return statement.returning(jobs.c.id)


def job_columns(job: Job, meaning: str) -> dict[str, Any]:
    """The job as its row."""
    row = dict(zip(_COLUMNS, _values(job), strict=True))
    row["meaning"] = meaning
    row["target"] = msgspec.to_builtins(job.target)
    row["tally"] = dump_tally(job.tally)
    row["needs"] = msgspec.to_builtins(job.needs) if job.needs else None
    row["rollout"] = dump_course(job.rollout)
    row["irreversible"] = list(job.irreversible) or None
    return row


def insert_runs(
    connection: Connection, job: Job, nodes: Sequence[NodeId], dispatch_at: datetime | None
) -> None:
    """Runs that stand as the job does: by one statement, for they differ in the node alone.

    Those of a rollout one by one, for they stand where their batch does.
    """
    if job.rollout is not None:
        if nodes:
            connection.execute(insert(runs), rolled_runs(job, nodes, dispatch_at))
        return
    if job.splay_s and dispatch_at is not None:
        if nodes:
            connection.execute(insert(runs), splayed_runs(job, nodes))
        return
    alike = run_columns(job, dispatch_at)
    statement = _spreading(tuple(alike), sqlite=dialect.is_sqlite(connection))
    connection.execute(statement, alike | dialect.name_values(connection, nodes))


def run_columns(job: Job, dispatch_at: datetime | None) -> dict[str, Any]:
    """A run that stands as the job does, but for its node."""
    return {
        "job": job.id,
        "org": job.org,
        "state": job.state,
        "wait_reason": job.wait_reason,
        "attempt": 1,
        "statusmsg": "",
        "data": {},
        "stdout_size": 0,
        "stderr_size": 0,
        "dispatch_at": dispatch_at,
        "expire_at": job.start_before,
    }


def rolled_runs(
    job: Job, nodes: Sequence[NodeId], dispatch_at: datetime | None
) -> list[dict[str, Any]]:
    """The runs of a job that goes batch after batch, the nodes in their order."""
    first = run_columns(job, dispatch_at)
    rest = first
    if dispatch_at is not None:
        rest = first | {
            "state": State.WAITING,
            "wait_reason": WaitReason.ROLLOUT,
            "dispatch_at": None,
            "expire_at": job.start_before,
        }
    places = turns(job.rollout.sizes if job.rollout else (len(nodes),))
    return [
        (first if turn == 1 else rest) | {"node": node, "turn": turn}
        for node, turn in zip(nodes, places, strict=True)
    ]


def splayed_runs(job: Job, nodes: Sequence[NodeId]) -> list[dict[str, Any]]:
    """The runs of a job whose nodes begin spread over some time."""
    begin = max(job.created_at, job.not_before or job.created_at)
    name = job.schedule or job.id
    starts = {node: begin + splay_of(name, node, job.splay_s) for node in nodes}
    return [
        run_columns(job, due_at(start, job.created_at)) | {"node": node, "not_before": start}
        for node, start in starts.items()
    ]


@cache
def _spreading(columns: tuple[str, ...], *, sqlite: bool) -> Executable:
    table = dialect.names(sqlite=sqlite)
    values = [bindparam(name, type_=runs.c[name].type) for name in columns]
    return insert(runs).from_select(["node", *columns], select(table.c.name, *values))
