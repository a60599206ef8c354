"""Handovers: which runs are to be given to the broker, or asked after."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, case, literal, select, update

from fleetjobs.messages import Stage
from fleetjobs.names import JobId, NodeId
from fleetjobs.plans.detours import step_named
from fleetjobs.states import State
from fleetjobs.store.entries import COORDINATOR, RunName
from fleetjobs.store.judging import settle
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.nodes import nodes
from fleetjobs.store.schema.runs import runs
from fleetjobs.store.standing import ANSWER_TIME, latest

REACH_GRACE = timedelta(seconds=5)  #: for a node to say that it began in time
ASK_AT_MOST = timedelta(hours=1)  #: a long run is asked after ever more rarely, at last every hour


HandoverName = tuple[JobId, NodeId, int, int]  #: job, node, attempt, generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """One attempt of one run, to be given to the broker."""

    job: JobId
    node: NodeId
    attempt: int
    generation: int
    known: bool  # its node has told of it before
    task: str  # agent.action
    org: str
    caller: str
    created_at: datetime  # the job
    root: JobId | None  # the plan that it is a part of, or the first job it follows
    sealed: str  # the request
    node_key: str | None = None  # its public one, base64url
    node_takes: int = 1  # deliveries in one message
    not_before: datetime | None
    start_before: datetime | None
    reach_s: float | None = None  # of a rollout: so long its node has to begin
    references: Mapping[str, JobId] | None = None  # in its data, and the legs that they mean
    fills: dict[str, Any] | None = None  # what they come to
    lenient: bool = False  # what they lead to may be missing
    begins: bool = True  # no node has it yet
    until: datetime | None = None  # then a window closes
    has_slot: bool = False  # among the runs of an action that has a limit
    loose: bool = False  # costs but another question if it is lost on its way

    @property
    def name(self) -> HandoverName:
        """Names it: another generation of the attempt is another one."""
        return (self.job, self.node, self.attempt, self.generation)


def runs_to_dispatch(
    connection: Connection,
    now: datetime,
    limit: int,
    handed: Collection[HandoverName] = frozenset(),
) -> list[Handover]:
    """The runs that are due for hand-over, longest due first.

    Without those that were handed over and are not noted yet. A first attempt has the times of
    its job to keep, a later one those of `attempt_limit`.
    """
    found = connection.execute(_DUE, {"now": now, "limit": limit + len(handed)})
    due = [
        row
        for row in found
        if not handed or (row.job, row.node, row.attempt, row.generation) not in handed
    ]
    if not due:
        return []
    ids = {"ids": sorted({row.job for row in due})}
    asked = {row.id: row for row in connection.execute(_REQUESTS, ids)}
    return [_handover(row, asked[row.job], now) for row in due]


_OF_RUN = (
    *("job", "node", "attempt", "generation", "stage", "queued_at", "expire_at"),
    *("not_before", "start_before", "state", "slot_at", "step"),
)
_OF_JOB = (
    *("id", "agent", "action", "sealed", "not_before", "start_before"),
    *("fills", "rollout", "undoes", "detour", "inline", "org", "caller", "created_at", "plan"),
)


def _handover(run: Row[*tuple[Any, ...]], job: Row[*tuple[Any, ...]], now: datetime) -> Handover:
    step = None if run.step is None else step_named(job.detour, run.step)
    not_before = latest(job.not_before, run.not_before) if run.attempt == 1 else None
    return Handover(
        job=run.job,
        node=run.node,
        attempt=run.attempt,
        generation=run.generation,
        known=run.stage in {Stage.ACCEPTED, Stage.STARTED},
        task=f"{job.agent}.{job.action}" if step is None else step.task,
        org=job.org,
        caller=job.caller,
        created_at=job.created_at,
        root=job.plan,
        sealed=job.sealed if step is None else step.sealed,
        node_key=run.verify_key,
        node_takes=run.takes or 1,
        not_before=not_before,
        start_before=_start_before(run, job, now),
        reach_s=None if job.rollout is None else job.rollout["reach_s"],
        references=_references(job.fills if step is None else step.fills),
        lenient=job.undoes is not None or (step is not None and step.undoes),
        begins=run.state in {State.WAITING, State.SCHEDULED},
        has_slot=run.slot_at is not None,
        loose=job.inline and _can_wait(run, job, not_before),
    )


def _references(fills: Mapping[str, str] | None) -> Mapping[str, JobId] | None:
    return None if fills is None else {text: JobId(job) for text, job in fills.items()}


def _can_wait(run: Row[Any], job: Row[Any], not_before: datetime | None) -> bool:
    """Whether the run may as well be asked for a minute later, should its delivery be lost.

    Not if it has a time to keep, a slot that others want, another action to do than its job's, or
    is asked for because the first delivery may have been lost.
    """
    timeless = job.rollout is None and not_before is None
    return timeless and run.slot_at is None and run.step is None and run.queued_at is None


def _start_before(run: Row[Any], job: Row[Any], now: datetime) -> datetime | None:
    of_job: datetime | None = job.start_before or run.start_before
    if job.rollout is not None:
        due = latest(run.queued_at or now, job.not_before, run.not_before) or now
        reach = due + timedelta(seconds=job.rollout["reach_s"])
        return reach if of_job is None or run.attempt > 1 else min(of_job, reach)
    if run.attempt == 1:
        return of_job
    limit: datetime | None = run.expire_at
    handed = limit is not None and run.queued_at is not None
    return limit - ANSWER_TIME if limit and handed else limit


_DUE = (
    select(*(runs.c[name] for name in _OF_RUN), nodes.c.verify_key, nodes.c.takes)
    .outerjoin(nodes, nodes.c.identity == runs.c.node)
    .where(runs.c.dispatch_at <= bindparam("now"))
    .order_by(runs.c.dispatch_at, runs.c.job, runs.c.node)
    .limit(bindparam("limit"))
)
_REQUESTS = select(*(jobs.c[name] for name in _OF_JOB)).where(
    jobs.c.id.in_(bindparam("ids", expanding=True))
)


def mark_queued(
    connection: Connection, handovers: Sequence[Handover], now: datetime, ask_after: timedelta
) -> set[JobId]:
    """Note that the broker has them; gives the jobs that moved.

    A run whose reply was faster keeps its state; one about which minds changed meanwhile has an
    order on its way that overrules what was handed over. Whoever has not ended `ask_after` its
    hand-over, or its time, will be asked; each time the wait doubles.
    """
    ledger = Ledger(connection, [(item.job, item.node) for item in handovers], now)
    for item in handovers:
        run = ledger.run(item.job, item.node)
        if run is None or (run.attempt, run.generation) != (item.attempt, item.generation):
            continue
        if run.state.is_terminal or run.dispatch_at is None:
            continue
        waited = now - run.queued_at if run.queued_at else ask_after
        wait = min(max(ask_after, waited), ASK_AT_MOST)
        asked_at = max(now, item.not_before or now) + wait
        run.change(dispatch_at=None, handed_at=now, ask_at=asked_at)
        if run.state in {State.SCHEDULED, State.WAITING}:
            ledger.move(run, [State.QUEUED], actor=COORDINATOR)
            grace = ANSWER_TIME if item.reach_s is None else REACH_GRACE
            answer_by = None if item.start_before is None else item.start_before + grace
            run.change(queued_at=now, expire_at=answer_by, next_attempt_at=None)
        if item.until is not None or run.told_until is not None:
            run.change(told_until=item.until, opens_at=None)
    return settle(ledger)


def postpone(connection: Connection, handovers: Sequence[Handover], until: datetime) -> None:
    """Have these handed over later, if they still wait for it."""
    due = (runs.c.job == bindparam("_job"), runs.c.node == bindparam("_node"))
    waiting = (*due, runs.c.dispatch_at.is_not(None))
    rows = [{"_job": item.job, "_node": item.node} for item in handovers]
    if rows:
        connection.execute(update(runs).where(*waiting).values(dispatch_at=until), rows)


def runs_to_ask(connection: Connection, now: datetime, limit: int) -> list[RunName]:
    """Handed-over runs whose node should have told more, and was heard of since."""
    query = (
        select(runs.c.job, runs.c.node)
        .join(nodes, nodes.c.identity == runs.c.node)
        .where(runs.c.ask_at <= now, nodes.c.seen_at > runs.c.handed_at)
        .order_by(runs.c.ask_at)
        .limit(limit)
    )
    return [(row.job, row.node) for row in connection.execute(query)]


def ask_again(connection: Connection, names: Sequence[RunName], now: datetime) -> None:
    """Have the same attempts handed over once more: a node that knows them tells how they stand.

    Where an order is unanswered, the order is sent once more instead.
    """
    due = (runs.c.job == bindparam("_job"), runs.c.node == bindparam("_node"), runs.c.ask_at <= now)
    soon = literal(now, runs.c.dispatch_at.type)
    ordered = runs.c.pending.is_not(None)
    statement = (
        update(runs)
        .where(*due)
        .values(
            dispatch_at=case((ordered, runs.c.dispatch_at), else_=soon),
            order_at=case((ordered, soon), else_=runs.c.order_at),
            ask_at=None,
        )
    )
    rows = [{"_job": job, "_node": node} for job, node in sorted(names)]
    if rows:
        connection.execute(statement, rows)
