"""Rollouts in the database: the next batch begins, or nothing further does, as runs end.

All of it in the transaction in which the run ends that decides it, so that whoever is killed in
between leaves either both or neither.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, select

from fleetjobs.jobs import Pending
from fleetjobs.messages import Stage
from fleetjobs.names import JobId
from fleetjobs.rollouts import Course, Gate, Phase
from fleetjobs.states import LIVE, Reason, State, WaitReason
from fleetjobs.store.dependencies import blocked_runs
from fleetjobs.store.entries import COORDINATOR, JobEntry, RunEntry
from fleetjobs.store.jobs import dump_course
from fleetjobs.store.ledger import Ended, Ledger
from fleetjobs.store.outbox import line_up, may_be_handed, recall
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.runs import runs
from fleetjobs.store.standing import UNSTARTED

_FAILED = (State.FAILED, State.EXPIRED)


def roll_on(ledger: Ledger, ended: Iterable[Ended]) -> None:
    """Let rollouts go on, rest, wait for a person or stop, now that these runs have ended."""
    over: Counter[tuple[JobId, int]] = Counter()
    for name, node in ended:
        run = None if node is None else ledger.run(name, node)
        if run is not None and ledger.job_of(run).rollout is not None:
            over[name, run.turn] += 1
    for name in sorted({job for job, _ in over}):
        job = ledger.job_named(name)
        course = _course(job)
        _keep(job, ledger, live=course.live - over[name, course.turn])
        _look(ledger, job, actor=COORDINATOR)


def _course(job: JobEntry) -> Course:
    if job.rollout is None:
        raise LookupError(f"{job.id} has no rollout")
    return job.rollout


def _keep(job: JobEntry, ledger: Ledger, **changes: Any) -> Course:
    course = msgspec.structs.replace(_course(job), **changes)
    ledger.touch(job, rollout=dump_course(course), rollout_at=course.next_at)
    job.rollout = course
    return course


def failures_of(job: JobEntry) -> int:
    """How many of its runs count against its budget."""
    return sum(job.tally[state] for state in _FAILED)


def _look(ledger: Ledger, job: JobEntry, *, actor: str) -> None:
    """Do what the counts say."""
    course = _course(job)
    if course.phase is Phase.STOPPED or not any(job.tally[state] for state in LIVE):
        return
    if course.is_spent(failures_of(job)):
        if course.phase is not Phase.PAUSED:
            _stop(ledger, job)
    elif course.phase is Phase.ROLLING and not course.live and not course.is_last:
        _finish(ledger, job, actor=actor)


def _finish(ledger: Ledger, job: JobEntry, *, actor: str) -> None:
    """A batch is through; see what comes next."""
    course = _course(job)
    if course.by_hand:
        _pause(ledger, job)
    elif course.sleep_s:
        at = ledger.now + timedelta(seconds=course.sleep_s)
        _keep(job, ledger, phase=Phase.RESTING, next_at=at)
        _note(ledger, job, "rollout.rests", COORDINATOR, until=at)
    else:
        _begin(ledger, job, actor=actor)


def _note(ledger: Ledger, job: JobEntry, kind: str, actor: str, **more: Any) -> None:
    course = _course(job)
    detail = {"batch": course.turn, "of": len(course.sizes), "failed": failures_of(job), **more}
    ledger.note_job(job, kind, actor=actor, detail=detail)


def _batch(ledger: Ledger, job: JobEntry, turn: int) -> list[RunEntry]:
    """The runs of a batch that have not ended."""
    found = ledger.connection.execute(_OF_BATCH, {"job": job.id, "turn": turn})
    ledger.include((job.id, row.node) for row in found)
    there = ledger.runs_of(job.id)
    return [run for run in there if run.turn == turn and not run.state.is_terminal]


_OF_BATCH = select(runs.c.node).where(
    runs.c.job == bindparam("job"), runs.c.turn == bindparam("turn")
)


def _begin(ledger: Ledger, job: JobEntry, *, actor: str) -> None:
    """Let the next batch begin that has anything left to do."""
    course = _course(job)
    while not course.is_last:
        turn = course.turn + 1
        batch = _batch(ledger, job, turn)
        course = _keep(job, ledger, turn=turn, live=len(batch), phase=Phase.ROLLING, next_at=None)
        _let_go(ledger, batch, actor=actor)
        if batch:
            _note(ledger, job, "rollout.batch", actor, nodes=len(batch))
            return


def _let_go(ledger: Ledger, batch: Sequence[RunEntry], *, actor: str) -> None:
    """Line up what waits for its turn, or for a person; other guards stay as they are."""
    freed = [run for run in batch if _is_ours(run)]
    names = {(run.job, run.node) for run in freed}
    blocked = blocked_runs(ledger.connection, names)
    for run in freed:
        line_up(ledger, run, actor=actor, blocked=(run.job, run.node) in blocked)


def _is_ours(run: RunEntry) -> bool:
    if run.state is State.PAUSED:
        return run.reason is Reason.ROLLOUT
    return run.state is State.WAITING and run.wait_reason is WaitReason.ROLLOUT


def _pause(ledger: Ledger, job: JobEntry) -> None:
    """Ask a person whether to go on."""
    _keep(job, ledger, phase=Phase.PAUSED, next_at=None)
    _note(ledger, job, "rollout.pauses", COORDINATOR)
    turn = _course(job).turn
    _shut(ledger, [run for at in (turn, turn + 1) for run in _batch(ledger, job, at)])


def _stop(ledger: Ledger, job: JobEntry) -> None:
    """Let nothing further begin, until a person says otherwise or for good."""
    if _course(job).pauses:
        _pause(ledger, job)
        return
    _keep(job, ledger, phase=Phase.STOPPED, next_at=None)
    _note(ledger, job, "rollout.stops", COORDINATOR)
    ledger.include_jobs([job.id])
    _shut(ledger, ledger.runs_of(job.id))


def _shut(ledger: Ledger, found: Sequence[RunEntry]) -> None:
    """End or set aside what has not begun; what a node may have it is asked to give back first.

    Another attempt has begun already: it belongs to those at work.
    """
    for run in found:
        if run.attempt > 1 or run.state not in {*UNSTARTED, State.PAUSED}:
            continue
        if run.state in UNSTARTED and may_be_handed(ledger, run):
            _call_back(ledger, run)
        elif run.state is not State.PAUSED or _gate(ledger, run) is Gate.SHUT:
            line_up(ledger, run, actor=COORDINATOR)


def _gate(ledger: Ledger, run: RunEntry) -> Gate:
    return _course(ledger.job_of(run)).gate(run.turn)


def _call_back(ledger: Ledger, run: RunEntry) -> None:
    """Whether it began nobody knows but its node; it has as long to say as it had to begin."""
    if run.pending is None:
        recall(ledger, run, Pending.EDIT, actor=COORDINATOR)
    if run.stage is not Stage.ACCEPTED and run.expire_at is None:
        reach = timedelta(seconds=_course(ledger.job_of(run)).reach_s)
        run.change(expire_at=ledger.now + reach)


def resume(ledger: Ledger, job: JobEntry, *, actor: str) -> bool:
    """Go on with the next batch, or what is left of this one; False if it does not wait for that.

    What failed so far no longer counts: so many more may fail.
    """
    if job.rollout is None or job.rollout.phase is not Phase.PAUSED:
        return False
    course = _keep(job, ledger, phase=Phase.ROLLING, excused=failures_of(job))
    if course.live:
        _let_go(ledger, ledger.runs_of(job.id), actor=actor)
        _note(ledger, job, "rollout.resumed", actor)
    else:
        _begin(ledger, job, actor=actor)
    return True


def rollouts_due(connection: Connection, now: datetime, limit: int) -> list[JobId]:
    """The jobs that have rested long enough."""
    query = select(jobs.c.id).where(jobs.c.rollout_at <= now).order_by(jobs.c.rollout_at)
    return list(connection.execute(query.limit(limit)).scalars())


def wake_rollouts(ledger: Ledger, due: Sequence[JobId]) -> None:
    """Let their next batches begin, if that is still so."""
    ledger.lock(due)
    for name in sorted(due):
        job = ledger.job(name)
        if job is None or job.rollout is None or job.rollout.next_at is None:
            continue
        if job.rollout.next_at <= ledger.now:
            _begin(ledger, job, actor=COORDINATOR)
