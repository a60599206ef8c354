"""Gates: whether runs that are due may begin now: pauses and windows say no.

Starts only: what has begun goes on, and so does a plan of which a leg has begun.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, exists, select, update

from fleetjobs.jobs import Pending
from fleetjobs.names import JobId, NodeId
from fleetjobs.nodes import Node
from fleetjobs.schedules.windows import Verdict, Window, WindowKind, closes_at, judge_windows
from fleetjobs.states import State, WaitReason
from fleetjobs.store.entries import COORDINATOR, RunEntry, RunName
from fleetjobs.store.judging import settle
from fleetjobs.store.leases import (
    LEADER,
    ORG,
    PAUSED_NODE,
    RELAY,
    STOP,
    read_lease,
    read_pauses,
)
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.nodes import list_nodes
from fleetjobs.store.outbox import recall
from fleetjobs.store.schema.fleet import switches
from fleetjobs.store.schema.gates import windows
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.runs import HELD_UP, runs
from fleetjobs.store.standing import latest, path
from fleetjobs.store.windows import Calendar, list_windows
from fleetjobs.targets import Target, matches

LOOK_AGAIN = timedelta(hours=1)  #: what waits for no opening in sight is looked at that often
_UNSTARTED = (State.WAITING, State.SCHEDULED)
NO_WINDOW = "no window allows it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A run that is due, and whether it may begin."""

    name: RunName
    begins_at: datetime  # now, or what it is delivered ahead for
    paused: bool
    verdict: Verdict
    until: datetime | None  # it may begin before that only; None: no window closes

    @property
    def may_go(self) -> bool:
        """Whether its node may have it."""
        return not self.paused and self.verdict.is_open


@dataclass(slots=True, kw_only=True)
class Gates:
    """All pauses and windows, read once for a pass."""

    paused: frozenset[str]
    calendars: Sequence[Calendar]
    nodes: Mapping[NodeId, Node]
    _judged: dict[tuple[tuple[int, ...], datetime], tuple[Verdict, datetime | None]] = field(
        default_factory=dict
    )

    @classmethod
    def read(
        cls, connection: Connection, nodes: Iterable[NodeId], *, lock: bool = False
    ) -> "Gates":
        """As far as they concern these nodes; with `lock` none is lifted before we have ended."""
        paused = read_pauses(connection, lock=lock)
        return cls.of(connection, paused, list_windows(connection, lock=lock), nodes)

    @classmethod
    def of(
        cls,
        connection: Connection,
        paused: frozenset[str],
        calendars: Sequence[Calendar],
        nodes: Iterable[NodeId],
    ) -> "Gates":
        """These, as far as they concern these nodes."""
        needed = sorted(set(nodes)) if any(_asks(each.window) for each in calendars) else []
        found = list_nodes(connection, None, identities=needed) if needed else []
        return cls(
            paused=paused,
            calendars=calendars,
            nodes={node.identity: node for node in found},
        )

    def is_paused(self, org: str, node: str) -> bool:
        """Whether nothing begins there."""
        return not self.paused.isdisjoint({RELAY, f"{ORG}{org}", f"{PAUSED_NODE}{node}"})

    def judge(
        self, org: str, node: NodeId, moment: datetime, *, window_only: bool | None
    ) -> tuple[Verdict, datetime | None]:
        """Whether something may begin there by the windows, and until when."""
        if window_only is False:
            return OPEN, None
        place = tuple(
            number for number, each in enumerate(self.calendars) if self._holds(each, org, node)
        )
        about = [self.calendars[number].window for number in place]
        if window_only and not any(window.kind is WindowKind.ALLOWED for window in about):
            return Verdict(is_open=False, because=NO_WINDOW), None
        if not about:
            return OPEN, None
        if (place, moment) not in self._judged:
            verdict = judge_windows(about, moment)
            until = closes_at(about, moment) if verdict.is_open else None
            self._judged[place, moment] = verdict, until
        return self._judged[place, moment]

    def _holds(self, calendar: Calendar, org: str, node: NodeId) -> bool:
        if calendar.org not in {None, org}:
            return False
        if not _asks(calendar.window):
            return True
        known = self.nodes.get(node)
        return known is not None and matches(calendar.window.target, known)


OPEN = Verdict(is_open=True)


def _asks(window: Window) -> bool:
    """Whether it is about some nodes only."""
    return window.target != Target()


def look_at_due(
    connection: Connection, now: datetime, limit: int, *, lock: bool = False
) -> list[Look]:
    """The runs that are due and have not begun, longest due first, and whether they may."""
    found = connection.execute(_DUE.where(runs.c.dispatch_at <= now).limit(limit)).all()
    gates = Gates.read(connection, (row.node for row in found), lock=lock)
    return [_look(gates, row, now) for row in found]


_plans = jobs.alias()
_DUE = (
    select(
        *(runs.c[name] for name in ("job", "node", "org", "attempt")),
        runs.c.not_before.label("own_not_before"),
        *(jobs.c[name] for name in ("not_before", "window_only")),
        _plans.c.started_at.label("plan_started_at"),
    )
    .join(jobs, jobs.c.id == runs.c.job)
    .outerjoin(_plans, _plans.c.id == jobs.c.plan)
    .where(runs.c.state.in_(_UNSTARTED))
    .order_by(runs.c.dispatch_at, runs.c.job, runs.c.node)
)


def _look(gates: Gates, row: Any, now: datetime) -> Look:
    begin = latest(row.not_before, row.own_not_before) if row.attempt == 1 else None
    moment = max(now, begin or now)
    verdict, until = OPEN, None
    if row.plan_started_at is None:
        verdict, until = gates.judge(row.org, row.node, moment, window_only=row.window_only)
    return Look(
        name=(JobId(row.job), NodeId(row.node)),
        begins_at=moment,
        paused=gates.is_paused(row.org, row.node),
        verdict=verdict,
        until=until,
    )


def hold_up(connection: Connection, now: datetime, limit: int) -> tuple[int, set[JobId]]:
    """Let what is due and may not begin wait; how many, and the jobs that moved.

    What is delivered ahead for a time at which it may not begin is not due before that time. Who
    lifts a pause or a window waits until we have ended, or would not see what waits for it.
    """
    found = look_at_due(connection, now, limit, lock=True)
    closed = [look for look in found if not look.may_go]
    lease = read_lease(connection, LEADER)
    ledger = Ledger(connection, [look.name for look in closed], now)
    for look in closed:
        run = ledger.run(*look.name)
        if run is None or run.state not in _UNSTARTED or run.dispatch_at is None:
            continue
        if lease is not None and run.dispatch_at <= lease.since and run.pending is None:
            # due before we led: who led then may have handed it over, and been killed before
            # that was noted; nobody else knows of it, so its node is asked
            recall(ledger, run, Pending.EDIT, actor=COORDINATOR)
        elif look.begins_at > now:
            run.change(dispatch_at=look.begins_at)
        elif look.paused:
            _wait(ledger, run, WaitReason.PAUSE)
            run.change(dispatch_at=None, opens_at=None)
        else:
            opens_at = look.verdict.opens_at
            _wait(ledger, run, WaitReason.WINDOW)
            run.change(dispatch_at=opens_at or now + LOOK_AGAIN, opens_at=opens_at)
    return len(closed), settle(ledger)


def _wait(ledger: Ledger, run: RunEntry, reason: WaitReason) -> None:
    if run.state is State.SCHEDULED:
        ledger.move(run, path(run.state, State.WAITING), actor=COORDINATOR, wait=reason)
    ledger.wait_for(run, reason)


def take_back(
    connection: Connection, names: Sequence[RunName], now: datetime, *, actor: str
) -> set[JobId]:
    """Ask nodes for what they have and have not begun, if by now it may not begin, or not so.

    What comes back waits at the gate; what has begun goes on.
    """
    ledger = Ledger(connection, names, now)
    gates = Gates.read(connection, (node for _, node in names))
    for name in names:
        run = ledger.run(*name)
        if run is None or run.state is not State.QUEUED or run.pending is not None:
            continue
        if _stands(gates, ledger, run):
            continue
        recall(ledger, run, Pending.EDIT, actor=actor)
    return settle(ledger)


def _stands(gates: Gates, ledger: Ledger, run: RunEntry) -> bool:
    """Whether what the node was told still holds."""
    if gates.is_paused(run.org, run.node):
        return False
    job = ledger.job_of(run)
    plan = None if job.plan is None else ledger.job(job.plan)
    if plan is not None and plan.started_at is not None:
        return True
    begin = latest(job.not_before, run.not_before) if run.attempt == 1 else None
    moment = max(ledger.now, begin or ledger.now)
    verdict, until = gates.judge(run.org, run.node, moment, window_only=job.window_only)
    return verdict.is_open and until == run.told_until


def has_gates(connection: Connection) -> bool:
    """Whether there is any pause or window at all."""
    return bool(connection.execute(_GATES).scalar_one())


_GATES = select(exists(select(windows.c.name)) | exists().where(switches.c.name != STOP))


def queued_runs(connection: Connection, org: str | None, node: str | None) -> list[RunName]:
    """What was handed to nodes and has not begun, as far as is known."""
    query = select(runs.c.job, runs.c.node).where(runs.c.state == State.QUEUED)
    if org is not None:
        query = query.where(runs.c.org == org)
    if node is not None:
        query = query.where(runs.c.node == node)
    rows = connection.execute(query.order_by(runs.c.job, runs.c.node))
    return [(row.job, row.node) for row in rows]


def let_on(connection: Connection, reason: WaitReason, now: datetime) -> int:
    """Have all looked at again that wait for this; how many."""
    waits = runs.c.wait_reason == reason, runs.c.state == State.WAITING
    statement = update(runs).where(HELD_UP, *waits).values(dispatch_at=now, opens_at=None)
    return connection.execute(statement).rowcount
