"""Lanes: runs of actions that have a limit, in line for a slot or in one.

A slot is no record of its own: it is a mark on a run that a node has, or is about to get. What
takes the run from its node, be it its end, a retry or a crash, takes the mark with it.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, func, select

from fleetjobs.limits import Ceilings, Limit, Scope
from fleetjobs.names import JobId, NodeId
from fleetjobs.states import State, WaitReason
from fleetjobs.store import dialect
from fleetjobs.store.entries import COORDINATOR, RunName
from fleetjobs.store.judging import settle
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.limits import read_ceilings
from fleetjobs.store.schema.gates import turns
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.runs import HAS_SLOT, IN_LINE, runs
from fleetjobs.store.standing import latest, path

HEADS = 200  #: of an org's line, read at once
_NEVER = datetime.min.replace(tzinfo=UTC)
_UNSTARTED = (State.WAITING, State.SCHEDULED)


def join_lanes(
    connection: Connection, now: datetime, actions: Collection[str], limit: int
) -> tuple[int, set[JobId]]:
    """Put due runs of these actions in line; how many were looked at, and the jobs that moved.

    What is to start later only, and would be delivered ahead, is not due before: it would hold a
    slot for nothing.
    """
    found = connection.execute(_due(now, actions).limit(limit)).all()
    ledger = Ledger(connection, [(row.job, row.node) for row in found], now)
    for row in found:
        run = ledger.run(row.job, row.node)
        if run is None or run.state not in _UNSTARTED or run.dispatch_at is None:
            continue
        begin = latest(row.not_before, row.own_not_before) if row.attempt == 1 else None
        if begin is not None and begin > now:
            run.change(dispatch_at=begin)
            continue
        if run.state is State.SCHEDULED:
            way = path(run.state, State.WAITING)
            ledger.move(run, way, actor=COORDINATOR, wait=WaitReason.CONCURRENCY)
        ledger.wait_for(run, WaitReason.CONCURRENCY)
        run.change(lane=row.lane, lined_at=run.dispatch_at, rank=-row.priority, dispatch_at=None)
    return len(found), settle(ledger)


def concerns_lanes(connection: Connection, now: datetime, actions: Collection[str]) -> bool:
    """Whether runs of these actions are due, or in line."""
    if connection.execute(select(runs.c.job).where(IN_LINE).limit(1)).first() is not None:
        return True
    return connection.execute(_due(now, actions).limit(1)).first() is not None


_ACTION = (jobs.c.agent + "." + jobs.c.action).label("lane")


def _due(now: datetime, actions: Collection[str]) -> Select[Any]:
    times = (jobs.c.not_before, runs.c.not_before.label("own_not_before"))
    return (
        select(runs.c.job, runs.c.node, runs.c.attempt, jobs.c.priority, _ACTION, *times)
        .join(jobs, jobs.c.id == runs.c.job)
        .where(runs.c.dispatch_at <= now, runs.c.slot_at.is_(None))
        .where(runs.c.state.in_(_UNSTARTED), _ACTION.in_(sorted(actions)))
        .order_by(runs.c.dispatch_at, runs.c.job, runs.c.node)
    )


def give_slots(connection: Connection, now: datetime) -> tuple[int, set[JobId]]:
    """Let the next in line go on, where there is room; how many, and the jobs that moved.

    Whoever else does this at the same time waits: together they would give too many.
    """
    giving = _Giving(connection, read_ceilings(connection, lock=True), now)
    names = giving.choose()
    ledger = Ledger(connection, names, now)
    for name in names:
        run = ledger.run(*name)
        if run is None or run.lane is None or run.slot_at is not None or not run.keeps_lane:
            continue  # it was held or called off meanwhile; its slot is given in the next pass
        run.change(slot_at=now, dispatch_at=now)
        ledger.wait_for(run, WaitReason.OUTBOX)
    giving.note_turns()
    return len(names), settle(ledger)


@dataclass(slots=True)
class _Giving:
    """One round of giving slots away."""

    connection: Connection
    ceilings: Ceilings
    now: datetime
    held: Counter[tuple[str, Scope, str]] = field(default_factory=Counter)
    served: dict[tuple[str, str], datetime] = field(default_factory=dict)  # by lane and org
    fresh: set[tuple[str, str]] = field(default_factory=set)  # of those: served in this round

    def choose(self) -> list[RunName]:
        """Who is next, all lanes together."""
        lines = self._lines()
        if not lines:
            return []
        self._read_held(lines)
        query = select(turns).where(turns.c.lane.in_(sorted(lines)))
        self.served = {(row.lane, row.org): row.at for row in self.connection.execute(query)}
        return [name for lane in sorted(lines) for name in self._choose(lane, lines[lane])]

    def _lines(self) -> dict[str, set[str]]:
        """The orgs that wait, by lane."""
        query = select(runs.c.lane, runs.c.org).where(IN_LINE).distinct()
        lines: dict[str, set[str]] = defaultdict(set)
        for lane, org in self.connection.execute(query):
            lines[lane].add(org)
        return lines

    def _read_held(self, lanes: Collection[str]) -> None:
        query = (
            select(runs.c.lane, runs.c.org, runs.c.node, func.count())
            .where(HAS_SLOT, runs.c.lane.in_(sorted(lanes)))
            .group_by(runs.c.lane, runs.c.org, runs.c.node)
        )
        for lane, org, node, number in self.connection.execute(query):
            self._take(lane, org, node, number)

    def _take(self, lane: str, org: str, node: str, number: int = 1) -> None:
        for scope, name in ((Scope.FLEET, ""), (Scope.ORG, org), (Scope.NODE, node)):
            self.held[lane, scope, name] += number

    def _choose(self, lane: str, orgs: Collection[str]) -> Iterator[RunName]:
        """Org after org, the one that was served longest ago first; in each by rank and time."""
        heads = {org: self._heads(lane, org) for org in orgs}
        while heads and self._has_room(lane, Scope.FLEET, ""):
            org = min(heads, key=lambda org: (self.served.get((lane, org), _NEVER), org))
            name = next(heads[org], None) if self._has_room(lane, Scope.ORG, org) else None
            if name is None:
                del heads[org]
                continue
            self._take(lane, org, name[1])
            self.served[lane, org] = self._tick()
            self.fresh.add((lane, org))
            yield name

    def _heads(self, lane: str, org: str) -> Iterator[RunName]:
        """The first in line whose nodes have room."""
        prefix = (lane, Scope.NODE)
        full = [key[2] for key in self.held if key[:2] == prefix and not self._has_room(*key)]
        query = (
            select(runs.c.job, runs.c.node)
            .where(IN_LINE, runs.c.lane == lane, runs.c.org == org)
            .where(runs.c.node.not_in(full))
            .order_by(runs.c.rank, runs.c.lined_at, runs.c.job, runs.c.node)
            .limit(HEADS)
        )
        for row in self.connection.execute(query).all():
            if self._has_room(lane, Scope.NODE, row.node):
                yield JobId(row.job), NodeId(row.node)

    def _has_room(self, lane: str, scope: Scope, name: str) -> bool:
        most = self.ceilings.most(lane, scope, name or None)
        return most is None or self.held[lane, scope, name] < most

    def _tick(self) -> datetime:
        """Later than all that went before: a round may serve an org many times."""
        return max(self.now, *self.served.values(), _NEVER) + timedelta(microseconds=1)

    def note_turns(self) -> None:
        """Remember who was served when."""
        rows = [
            {"lane": lane, "org": org, "at": self.served[lane, org]}
            for lane, org in sorted(self.fresh)
        ]
        if rows:
            statement = dialect.insert(self.connection, turns)
            key = [turns.c.lane, turns.c.org]
            at = {"at": statement.excluded.at}
            self.connection.execute(
                statement.on_conflict_do_update(index_elements=key, set_=at), rows
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """How many runs of a limited action stand where."""

    at_work: int  # they have a slot
    in_line: int


def count_use(connection: Connection, limit: Limit, org: str) -> Use:
    """Of the org's runs that a limit counts; of each org or node by itself, all of them."""
    conditions = [runs.c.lane == limit.action, runs.c.org == org]
    if limit.scope is Scope.NODE and limit.name is not None:
        conditions.append(runs.c.node == limit.name)
    numbers = [
        connection.execute(select(func.count()).where(which, *conditions)).scalar_one()
        for which in (HAS_SLOT, IN_LINE)
    ]
    return Use(at_work=numbers[0], in_line=numbers[1])
