"""Deadlines: runs that are too late to start, and those whose node does not come back.

Each run has one alarm, `expire_at`. Nobody knows beforehand when a node falls silent, so the alarm
of a run that a node has is a first guess; when it is due, it is set again by what was heard.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from fleetjobs.jobs import Pending
from fleetjobs.messages import Stage
from fleetjobs.names import JobId, NodeId
from fleetjobs.states import Reason, State
from fleetjobs.store.entries import COORDINATOR, RunEntry, RunName, patience_of, start_limit
from fleetjobs.store.judging import settle
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.outbox import confirm, recall
from fleetjobs.store.schema.nodes import nodes
from fleetjobs.store.schema.runs import runs
from fleetjobs.store.standing import ANSWER_TIME, UNSTARTED, path

REACH_LEAST = timedelta(seconds=30)  #: nodes may have told more than was read when we began
DEAF_PAUSE = timedelta(minutes=1)  #: while nobody is heard, nobody is given up


def runs_overdue(connection: Connection, now: datetime, limit: int) -> list[RunName]:
    """Runs whose alarm is due, the longest due first."""
    query = (
        select(runs.c.job, runs.c.node)
        .where(runs.c.expire_at <= now)
        .order_by(runs.c.expire_at)
        .limit(limit)
    )
    return [(row.job, row.node) for row in connection.execute(query)]


def end_overdue(
    connection: Connection, names: Sequence[RunName], now: datetime, *, since: datetime | None
) -> set[JobId]:
    """End those of the runs that are still overdue; gives the jobs that moved.

    No node was heard before `since`, when we began to listen; None: none is heard now.
    """
    ledger = Ledger(connection, names, now)
    judge = _Judge(ledger, since, _last_words(connection, {node for _, node in names}))
    for name in names:
        run = ledger.run(*name)
        if run is None or run.expire_at is None or run.expire_at > now:
            continue
        if _misses_its_batch(ledger, run):
            judge.reach(run)
        elif _is_with_node(run):
            judge.look(run)
        elif run.state in UNSTARTED or run.is_set_aside:
            _expire(ledger, run)
        else:
            run.change(expire_at=None)
    return settle(ledger)


def _misses_its_batch(ledger: Ledger, run: RunEntry) -> bool:
    """Whether a batch waits for its node to begin it, or to give it back."""
    handed = run.state is State.QUEUED or (run.state is State.WAITING and run.pending is not None)
    return handed and ledger.job_of(run).rollout is not None


def _is_with_node(run: RunEntry) -> bool:
    """Whether a node has, or had it, as it said itself."""
    accepted = run.state is State.QUEUED and run.stage is Stage.ACCEPTED
    lost = run.state is State.PAUSED and run.reason is Reason.LOST
    return accepted or lost or run.state is State.CANCELLING


def _expire(ledger: Ledger, run: RunEntry) -> None:
    ledger.move(run, [State.EXPIRED], actor=COORDINATOR, reason=Reason.START_BEFORE)
    confirm(run)  # its node, too, finds it too late
    run.change(ended_at=ledger.now, dispatch_at=None, expire_at=None)


def _last_words(connection: Connection, names: Iterable[NodeId]) -> dict[NodeId, datetime | None]:
    query = select(nodes.c.identity, nodes.c.seen_at).where(nodes.c.identity.in_(sorted(names)))
    return {row.identity: row.seen_at for row in connection.execute(query)}


@dataclass(frozen=True, slots=True)
class _Judge:
    """Gives up runs whose nodes were silent for as long as their jobs say."""

    ledger: Ledger
    since: datetime | None
    heard: dict[NodeId, datetime | None]

    def reach(self, run: RunEntry) -> None:
        """Give a run up that had its time to begin; it counts as failed, and never begins."""
        heard_out = None if self.since is None else self.since + REACH_LEAST
        if heard_out is None or heard_out > self.ledger.now:
            run.change(expire_at=heard_out or self.ledger.now + DEAF_PAUSE)
        else:
            course = self.ledger.job_of(run).rollout
            within = "in time" if course is None else f"within {course.reach_s:g} s"
            give_up(self.ledger, run, f"left behind: {run.node} did not begin {within}")

    def look(self, run: RunEntry) -> None:
        """Give the run up, or set its alarm again."""
        job = self.ledger.job_of(run)
        patience = patience_of(job)
        if patience is None:
            run.change(expire_at=None)
            return
        again = self._not_before(run, patience, start_limit(job, run))
        if again > self.ledger.now:
            run.change(expire_at=again)
        else:
            give_up(self.ledger, run, self._why(run))

    def _not_before(
        self, run: RunEntry, patience: timedelta, start_before: datetime | None
    ) -> datetime:
        """When it may be given up, by what was heard so far."""
        job, now = self.ledger.job_of(run), self.ledger.now
        if self.since is None:
            return now + DEAF_PAUSE
        seen = self.heard.get(run.node)
        silent_from = max(self.since, seen or self.since) + timedelta(seconds=job.lost_after_s)
        until = (seen or now - patience) + patience
        if run.state is State.QUEUED and start_before is not None:
            until = max(until, start_before + ANSWER_TIME)
        return max(until, silent_from)

    def _why(self, run: RunEntry) -> str:
        seen = self.heard.get(run.node)
        when = "ever" if seen is None else f"since {seen:%Y-%m-%d %H:%M:%S} UTC"
        return f"given up: {run.node} was not heard of {when}"


def give_up(ledger: Ledger, run: RunEntry, why: str, *, actor: str = COORDINATOR) -> None:
    """End a run that a node has or had; it is told to let go, should it ever come back."""
    end = State.CANCELLED if run.state is State.CANCELLING else State.FAILED
    detail = {"attempt": run.attempt, "why": why}
    ledger.move(run, path(run.state, end), actor=actor, reason=Reason.LOST, detail=detail)
    run.change(ended_at=ledger.now, statusmsg=why, expire_at=None, dispatch_at=None)
    if run.pending is not Pending.CANCEL:
        recall(ledger, run, Pending.CANCEL, actor=actor)
