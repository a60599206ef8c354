"""Undoing: what a plan has done, and the jobs that take it back, the last done first."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, String, cast, func, insert, select

from fleetjobs.jobs import Job, Kind
from fleetjobs.names import JobId, NodeId
from fleetjobs.plans.documents import OnFailure
from fleetjobs.plans.undoing import PREFIX, Recipe, undoing_id
from fleetjobs.states import StartIf, State, WaitReason
from fleetjobs.store import dialect
from fleetjobs.store.accepting import job_columns, run_columns
from fleetjobs.store.detours import taken_back
from fleetjobs.store.entries import COORDINATOR, JobEntry
from fleetjobs.store.events import event_row
from fleetjobs.store.jobs import read_job
from fleetjobs.store.retracing import Place, Retracing
from fleetjobs.store.schema.jobs import dependencies, jobs
from fleetjobs.store.schema.runs import runs

_WHOLE = ""  #: in place of a node: the whole job
_HALFWAY = frozenset({State.FAILED, State.CANCELLED, State.SKIPPED, State.EXPIRED})


@dataclass(slots=True, kw_only=True)
class Done:
    """A leg of which something was done."""

    leg: Job
    recipe: Recipe | None  # None: nothing takes it back
    nodes: list[NodeId] = field(default_factory=list)  # where there is something to take back


def keys_of(done: Iterable[Done]) -> list[str]:
    """The legs' keys, in their order."""
    return [item.leg.leg or f"{item.leg.agent}.{item.leg.action}" for item in done]


def what_was_done(connection: Connection, plan: JobId) -> list[Done]:
    """The legs that were done on some node, in their order, and where they are to be undone.

    Where a leg succeeded, and where it failed half-way if that is to be undone, too.
    """
    whose = (jobs.c.plan == plan, jobs.c.kind == Kind.ACTION, jobs.c.undoes.is_(None))
    query = select(jobs).where(*whose).order_by(jobs.c.position)
    legs = {row["id"]: row for row in connection.execute(query).mappings()}
    found: dict[JobId, Done] = {}
    columns = (runs.c.job, runs.c.node, runs.c.state, runs.c.started_at, runs.c.attempt)
    undone, half = taken_back(connection, plan)
    began = select(*columns).join(jobs, jobs.c.id == runs.c.job).where(*whose)
    ended = runs.c.state.in_([State.SUCCEEDED, *_HALFWAY])
    proofs = _Proofs(connection)
    rows = list(connection.execute(began.where(ended).order_by(jobs.c.position, runs.c.node)))
    for row in rows:
        if (row.job, row.node) in undone:
            continue
        leg = legs[row.job]
        recipe = msgspec.convert(leg["undo"], Recipe) if leg["undo"] is not None else None
        succeeded = row.state is State.SUCCEEDED and (row.job, row.node) not in half
        half_way = row.started_at is not None or row.attempt > 1
        if not succeeded and not (recipe is not None and recipe.partial and half_way):
            continue
        item = found.get(row.job)
        if item is None:
            item = found[row.job] = Done(leg=read_job(leg), recipe=recipe)
        if recipe is not None and not recipe.is_nothing and proofs.hold(recipe, row.job, row.node):
            item.nodes.append(row.node)
    return list(found.values())


@dataclass(slots=True)
class _Proofs:
    """What runs answered, where that says if anything is to be undone; read once a leg."""

    connection: Connection
    _known: dict[JobId, set[NodeId]] = field(default_factory=dict)

    def hold(self, recipe: Recipe, job: JobId, node: NodeId) -> bool:
        """Whether there is something to undo."""
        if recipe.only_if is None:
            return True
        if job not in self._known:
            is_true = _is_true(recipe.only_if, sqlite=dialect.is_sqlite(self.connection))
            query = select(runs.c.node).where(runs.c.job == job, is_true)
            self._known[job] = set(self.connection.execute(query).scalars())
        return node in self._known[job]


def _is_true(output: str, *, sqlite: bool) -> ColumnElement[bool]:
    """Whether a run answered `true` there, and no text or number that looks like it."""
    if sqlite:
        return func.json_type(runs.c.data, f'$."{output}"') == "true"
    return cast(runs.c.data[output], String) == "true"


def insert_undoing(
    connection: Connection, plan: JobEntry, done: Sequence[Done], now: datetime
) -> Iterator[dict[str, Any]]:
    """Keep the jobs that take these legs back, in a group of their own; gives their events."""
    waits = _waits(connection, plan.id, done)
    blocked = defaultdict(set)
    for row in waits:
        blocked[row["job"]].add(row["node"])
    last = connection.execute(select(func.max(jobs.c.position)).where(jobs.c.plan == plan.id))
    first = last.scalar_one() + 1
    places = range(first + len(done), first, -1)  # as they are undone
    legs = [
        replace(_undoing(plan, item, blocked, now), position=place)
        for item, place in zip(done, places, strict=True)
    ]
    group = replace(_group(plan, done[0].leg, legs, now), position=first)
    connection.execute(insert(jobs), [job_columns(job, "") for job in (group, *legs)])
    connection.execute(insert(runs), _runs(done, legs, blocked, now))
    if waits:
        connection.execute(insert(dependencies), waits)
    for job in (group, *legs):
        yield _accepted(job, plan)


def _undoing(plan: JobEntry, item: Done, blocked: Mapping[JobId, set[str]], now: datetime) -> Job:
    """What takes one leg back; it waits for a person rather than fail."""
    recipe, leg = item.recipe or Recipe(), item.leg
    job = undoing_id(plan.id, leg.leg or "")
    waiting = len(item.nodes) if _WHOLE in blocked[job] else len(blocked[job])
    return _job(
        plan,
        leg,
        now,
        id=job,
        agent=leg.agent,
        action=recipe.action,
        data=recipe.data,
        sealed=recipe.sealed,
        wait_reason=WaitReason.OUTBOX if waiting < len(item.nodes) else WaitReason.DEPENDENCY,
        tally=Counter({State.WAITING: len(item.nodes)}),
        kind=Kind.ACTION,
        parent=undoing_id(plan.id),
        leg=f"{PREFIX}{leg.leg}",
        undoes=leg.id,
        fills=recipe.fills,
        on_failure=OnFailure.PAUSE,
        max_attempts=recipe.max_attempts,
        retry_delay_s=recipe.retry_delay_s,
        lost_after_s=recipe.lost_after_s,
        retry_lost=recipe.retry_lost,
        give_up_s=None,
        weight=leg.weight,
        blocked=waiting,
    )


def _group(plan: JobEntry, leg: Job, legs: Sequence[Job], now: datetime) -> Job:
    """All of it, as one part of the plan."""
    weights = sum(job.weight for job in legs)
    return _job(
        plan,
        leg,
        now,
        id=undoing_id(plan.id),
        agent=Kind.GROUP,
        action=PREFIX.rstrip(":"),
        data={},
        sealed="",
        wait_reason=WaitReason.OUTBOX,
        tally=Counter({State.WAITING: len(legs)}),
        kind=Kind.GROUP,
        parent=plan.id,
        leg=PREFIX.rstrip(":"),
        undoes=plan.id,
        weight=weights,
        weights=weights,
        blocked=sum(job.wait_reason is WaitReason.DEPENDENCY for job in legs),
    )


def _job(plan: JobEntry, like: Job, now: datetime, **fields: Any) -> Job:
    fixed: dict[str, Any] = {
        "org": plan.org,
        "caller": like.caller,
        "target": like.target,
        "state": State.WAITING,
        "reason": None,
        "completion": None,
        "attention": False,
        "created_at": now,
        "not_before": None,
        "start_before": None,
        "started_at": None,
        "ended_at": None,
        "plan": plan.id,
        "priority": like.priority,
    }
    return Job(**fixed | fields)


def _runs(
    done: Sequence[Done], legs: Sequence[Job], blocked: Mapping[JobId, set[str]], now: datetime
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for item, job in zip(done, legs, strict=True):
        for node in item.nodes:
            waits = bool({_WHOLE, node} & blocked[job.id])
            row = run_columns(job, None if waits else now)
            wait = WaitReason.DEPENDENCY if waits else WaitReason.OUTBOX
            rows.append(row | {"node": node, "wait_reason": wait})
    return rows


def _accepted(job: Job, plan: JobEntry) -> dict[str, Any]:
    return event_row(
        at=job.created_at,
        org=job.org,
        job=job.id,
        plan=plan.id,
        kind="job.accepted",
        actor=plan.actor or COORDINATOR,
        new=job.state,
        detail={"undoes": job.undoes, "parts": job.tally.total()},
    )


def _waits(connection: Connection, plan: JobId, done: Sequence[Done]) -> list[dict[str, Any]]:
    """What has to be undone before what, as rows of `dependencies`."""
    names = {item.leg.id: undoing_id(plan, item.leg.leg or "") for item in done}
    retracing = Retracing(
        nodes={item.leg.id: frozenset(item.nodes) for item in done},
        full={item.leg.id for item in done if len(item.nodes) == item.leg.tally.total()},
        **_ways(connection, plan),
    )
    rows: list[dict[str, Any]] = []
    for item in done:
        for node in item.nodes:
            for job, on_node in retracing.before(Place(item.leg.id, node)):
                rows.append(
                    {
                        "job": names[item.leg.id],
                        "node": node,
                        "on_job": names[job],
                        "on_node": on_node or _WHOLE,
                        "when": StartIf.COMPLETED,
                        "met": False,
                    }
                )
    return rows


def _ways(connection: Connection, plan: JobId) -> dict[str, Any]:
    """Who waited for whom in the plan, and what is in its groups."""
    columns = (jobs.c.id, jobs.c.parent, jobs.c.kind)
    parts = list(
        connection.execute(select(*columns).where(jobs.c.plan == plan, jobs.c.undoes.is_(None)))
    )
    above = {row.id: row.parent for row in parts}
    links = (dependencies.c.job, dependencies.c.node, dependencies.c.on_job, dependencies.c.on_node)
    query = select(*links).join(jobs, jobs.c.id == dependencies.c.job)
    waited: dict[JobId, list[tuple[NodeId | None, Place]]] = defaultdict(list)
    for row in connection.execute(query.where(jobs.c.plan == plan)):
        waited[row.on_job].append((row.on_node or None, Place(row.job, row.node or None)))
    return {"waited": waited, "above": above}
