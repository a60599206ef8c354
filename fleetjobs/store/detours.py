"""Detours under way: which step of one comes next, and what a step that ended leads to."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from fleetjobs.jobs import Kind
from fleetjobs.messages import Reply
from fleetjobs.names import JobId, NodeId
from fleetjobs.plans.detours import REDO, Step, step_named, steps_after, undone_at
from fleetjobs.plans.shapes import leg_id
from fleetjobs.plans.undoing import PREFIX
from fleetjobs.store.entries import JobEntry, RunEntry
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.runs import attempts, runs

Place = tuple[JobId, NodeId]


def is_undoing(run: RunEntry) -> bool:
    """Whether the run's attempt takes something back before another try."""
    return run.step is not None and run.step.startswith(PREFIX)


def next_step(
    connection: Connection,
    job: JobEntry,
    run: RunEntry,
    *,
    answer: Mapping[str, Any] | None = None,
) -> str | None:
    """What is to be done after the run's attempt and before the leg is tried again; None: nothing.

    `answer`: what the leg itself said, if its row does not have that yet.
    """
    for step in steps_after(job.detour, run.step):
        if step.only_if is None or _is_true(connection, job, run, step, answer):
            return step.name
    return None


def _is_true(
    connection: Connection,
    job: JobEntry,
    run: RunEntry,
    step: Step,
    answer: Mapping[str, Any] | None,
) -> bool:
    leg = leg_of(job, step)
    if leg != job.id or answer is None:
        found = connection.execute(_ANSWER, {"job": leg, "node": run.node}).scalar_one_or_none()
        answer = found or {}
    return answer.get(step.only_if or "") is True


_ANSWER = select(runs.c.data).where(
    runs.c.job == bindparam("job"), runs.c.node == bindparam("node")
)


def leg_of(job: JobEntry, step: Step) -> JobId:
    """The leg that the step undoes, or does again."""
    if job.plan is None:
        raise LookupError(f"{job.id} has a detour and no plan")
    return leg_id(job.plan, step.leg)


def tries_of_step(connection: Connection, run: RunEntry) -> int:
    """How often the step was tried before, the attempt at hand not counted."""
    mine = (attempts.c.job == run.job, attempts.c.node == run.node)
    same = func.coalesce(attempts.c.step, "") == (run.step or "")
    others = select(func.max(attempts.c.attempt)).where(*mine, ~same).scalar_subquery()
    query = select(func.count()).where(*mine, attempts.c.attempt > func.coalesce(others, 0))
    return int(connection.execute(query).scalar_one())


def may_repeat(connection: Connection, job: JobEntry, run: RunEntry) -> bool:
    """Whether a step that failed has tries left."""
    step = step_named(job.detour, run.step or "")
    return tries_of_step(connection, run) + 1 < step.attempts


def keep_answer(connection: Connection, job: JobEntry, run: RunEntry, reply: Reply) -> None:
    """What a leg says that was done again is what it says from now on; it has ended as it had."""
    step = step_named(job.detour, run.step or "")
    if not step.undoes:
        same = (runs.c.job == leg_of(job, step), runs.c.node == run.node)
        told = {"data": reply.data, "statusmsg": reply.statusmsg}
        connection.execute(update(runs).where(*same).values(**told))


def taken_back(connection: Connection, plan: JobId) -> tuple[set[Place], set[Place]]:
    """Where legs of the plan are undone by detours that got no further, and done by half there."""
    query = (
        select(jobs.c.detour, runs.c.node, runs.c.step, runs.c.started_at)
        .join(runs, runs.c.job == jobs.c.id)
        .where(jobs.c.plan == plan, jobs.c.kind == Kind.ACTION, runs.c.step.is_not(None))
    )
    undone: set[Place] = set()
    half: set[Place] = set()
    for row in connection.execute(query):
        keys = undone_at([step["name"] for step in row.detour or ()], row.step)
        undone |= {(leg_id(plan, key), row.node) for key in keys}
        if row.step.startswith(REDO):
            place = leg_id(plan, row.step.removeprefix(REDO)), row.node
            (undone if row.started_at is None else half).add(place)
    return undone, half
