"""Verbs: what a person may do to a job that was accepted; done twice, it is done once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from fleetjobs.control.cases import Case
from fleetjobs.control.holds import hold, may_be_held, release
from fleetjobs.control.noting import note
from fleetjobs.control.retries import Manner, end, resolve, retry
from fleetjobs.control.rollbacks import check_may_go_back, plan_of, turn_back
from fleetjobs.errors import Conflict, NotFound
from fleetjobs.jobs import Job, Kind
from fleetjobs.names import JobId, NodeId
from fleetjobs.nodes import SILENT_AFTER
from fleetjobs.signing import account_key_id
from fleetjobs.states import Reason, State
from fleetjobs.store.bells import CHANGES
from fleetjobs.store.cancels import call_off
from fleetjobs.store.database import Database, ring
from fleetjobs.store.entries import JobEntry, RunEntry
from fleetjobs.store.jobs import get_job
from fleetjobs.store.judging import settle
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.nodes import nodes_heard
from fleetjobs.store.plans import legs_of
from fleetjobs.store.rollouts import resume as resume_rollout

Nodes = Sequence[NodeId] | None  #: on which of its nodes; None: all of them


@dataclass(frozen=True, slots=True)
class Verbs:
    """Each one transaction; raises NotFound, Conflict, DatabaseAway. Safe from any thread."""

    database: Database
    clock: Callable[[], datetime]
    address: str = ""  # from where it is asked, for the audit

    def cancel(
        self,
        job: JobId,
        *,
        org: str,
        account: str,
        nodes: Nodes = None,
        force: bool = False,
        rollback: bool = False,
    ) -> Job:
        """Call it off: what has not begun never will, what runs is stopped.

        With all that its action asked for, unless `nodes` are named. `force` does not wait for
        nodes to confirm it. With `rollback`, what a plan has done is undone then; Conflict if the
        job is no plan. To what has ended it does nothing.
        """
        with self._case("cancelled", job, org, account, nodes) as case:
            if nodes is None:
                case.add_followers()
            if not rollback or _may_turn(plan_of(case.ledger, job), nodes):
                _call_off(case, force=force, whole=nodes is None, rollback=rollback)
        return case.answer[0]

    def hold(self, job: JobId, *, org: str, account: str, nodes: Nodes = None) -> Job:
        """Set aside what has not begun until it is released.

        Conflict if all of it has begun. What a node has is held when the node confirms it.
        """
        with self._case("held", job, org, account, nodes) as case:
            if not any(may_be_held(run) for run in case.runs):
                raise Conflict(f"{job} has begun; only what has not can be held")
            for run in case.runs:
                case.note(run, hold(case.ledger, run, case.actor))
        return case.answer[0]

    def release(self, job: JobId, *, org: str, account: str, nodes: Nodes = None) -> Job:
        """Let what is held go on, and rollouts that paused; nothing else is touched."""
        with self._case("released", job, org, account, nodes) as case:
            _roll_on(case)
            blocked = case.blocked
            for run in case.runs:
                case.note(run, release(case.ledger, run, blocked, case.actor))
        return case.answer[0]

    def retry(
        self,
        job: JobId,
        *,
        org: str,
        account: str,
        nodes: Nodes = None,
        manner: Manner | None = None,
    ) -> Job:
        """Try again, now, what waits for a person or for its next attempt.

        Conflict if the job has ended: then it takes a new job, `Control.rerun`. With a `manner`,
        legs that wait for a person, after what it says; InvalidPlan if that cannot be undone.
        """
        with self._case("retried", job, org, account, nodes) as case:
            _check_live(case)
            for run in case.runs:
                case.note(run, retry(case.ledger, run, case.actor, manner))
            if manner is not None and not case.changed:
                raise Conflict(f"no run of {job} waits for a person to decide")
        return case.answer[0]

    def resume(self, job: JobId, *, org: str, account: str, nodes: Nodes = None) -> Job:
        """Let what is paused go on: released if it was held, tried again if it was lost.

        Conflict if the job has ended.
        """
        with self._case("resumed", job, org, account, nodes) as case:
            _check_live(case)
            _roll_on(case)
            blocked = case.blocked
            for run in case.runs:
                if run.state is State.PAUSED and not run.is_set_aside:
                    case.note(run, retry(case.ledger, run, case.actor))
                else:
                    case.note(run, release(case.ledger, run, blocked, case.actor))
        return case.answer[0]

    def resolve(
        self, job: JobId, *, org: str, account: str, outcome: State, nodes: Nodes = None
    ) -> Job:
        """Say how it ended, of runs that wait for a person; their nodes are told to let go.

        `outcome` is SUCCEEDED or FAILED. Conflict if no run is paused, or ended that way already.
        """
        if outcome not in {State.SUCCEEDED, State.FAILED}:
            raise Conflict(f"nothing can be resolved as {outcome}")
        with self._case("resolved", job, org, account, nodes) as case:
            lost = [run for run in case.runs if _is_stuck(run)]
            if not lost and all(run.state is not outcome for run in case.runs):
                raise Conflict(f"no run of {job} waits for a person to decide")
            for run in lost:
                resolve(case.ledger, run, outcome, case.actor)
                case.note(run, changed=True)
        return case.answer[0]

    def rollback(self, job: JobId, *, org: str, account: str, nodes: Nodes = None) -> Job:
        """Undo what a plan has done, once nothing of it is at work; the plan has failed then.

        Conflict if it is no plan, has ended, or neither waits for a person nor is one that would.
        """
        with self._case("rolled_back", job, org, account, nodes) as case:
            plan = plan_of(case.ledger, job)
            check_may_go_back(plan)
            if _may_turn(plan, nodes):
                turn_back(case.ledger, plan, case.runs, case.actor)
                case.changed.add(job)
        return case.answer[0]

    def skip(self, job: JobId, *, org: str, account: str, nodes: Nodes = None) -> Job:
        """Leave out what waits for a person; what needs it is judged by that.

        Conflict if it is no part of a plan, or if nothing of it is paused or was skipped.
        """
        with self._case("skipped", job, org, account, nodes) as case:
            if case.ledger.job_named(job).plan is None:
                raise Conflict(f"{job} is no leg of a plan; only those can be skipped")
            stuck = [run for run in case.runs if _is_stuck(run)]
            if not stuck and all(run.state is not State.SKIPPED for run in case.runs):
                raise Conflict(f"no run of {job} waits for a person to decide")
            for run in stuck:
                end(case.ledger, run, State.SKIPPED, None, case.actor)
                case.note(run, changed=True)
        return case.answer[0]

    @contextmanager
    def _case(self, deed: str, job: JobId, org: str, account: str, nodes: Nodes) -> Iterator[Case]:
        """Lock the job and find the runs; at the end write what changed."""
        with self.database.transaction() as connection:
            ledger = Ledger.of_jobs(connection, [job], self.clock())
            _include_legs(ledger, job)
            case = Case(ledger, job, account_key_id(account), _chosen(ledger, job, org, nodes))
            before = ledger.job_named(job).state
            yield case
            for name in sorted(case.changed):
                entry = ledger.job_named(name)
                ledger.touch(entry, version=entry.version + 1)
            if case.changed:
                ring(connection, CHANGES, ",".join(sorted(settle(ledger))))
            case.answer.append(_read(connection, job, org))
            if case.changed:
                self._note(connection, deed, account, before, case.answer[0], nodes)

    def _note(
        self,
        connection: Connection,
        deed: str,
        account: str,
        before: State,
        job: Job,
        nodes: Nodes,
    ) -> None:
        told = {"state": job.state, "version": job.version}
        note(
            self,
            connection,
            f"job.{deed}",
            job.id,
            account=account,
            org=job.org,
            before={"state": before},
            after=told if nodes is None else told | {"nodes": sorted(nodes)},
        )


def _read(connection: Connection, job: JobId, org: str) -> Job:
    found = get_job(connection, job, org=org)
    if found is None:
        raise NotFound(f"there is no job {job}")
    return found


def _include_legs(ledger: Ledger, job: JobId) -> None:
    entry = ledger.job(job)
    if entry is not None and entry.kind is not Kind.ACTION:
        ledger.include_jobs(legs_of(ledger.connection, [job]))


def _chosen(ledger: Ledger, job: JobId, org: str, nodes: Nodes) -> list[RunEntry]:
    entry = ledger.job(job)
    if entry is None or entry.org != org:
        raise NotFound(f"there is no job {job}")
    found = ledger.runs_of(job) if entry.kind is Kind.ACTION else ledger.all_runs()
    if nodes is None:
        return found
    unknown = sorted(set(nodes) - {run.node for run in found})
    if unknown:
        raise NotFound(f"{job} has no run on {', '.join(unknown[:5])}")
    return [run for run in found if run.node in set(nodes)]


def _may_turn(plan: JobEntry, nodes: Nodes) -> bool:
    """Whether it is not undone yet. Raises Conflict if single nodes are meant."""
    if nodes is not None:
        raise Conflict("a plan is rolled back as a whole; name no nodes")
    return plan.undoing is None and not plan.state.is_terminal


def _call_off(case: Case, *, force: bool, whole: bool, rollback: bool) -> None:
    since = case.ledger.now - SILENT_AFTER
    heard = nodes_heard(case.ledger.connection, [run.node for run in case.runs], since)
    for run in case.runs:
        alive = run.node in heard
        done = call_off(case.ledger, run, actor=case.actor, is_alive=alive, force=force)
        case.note(run, done)
    if rollback:
        case.ledger.touch(case.ledger.job_named(case.job), reverts=True)
        case.changed.add(case.job)
    if case.changed and whole:
        case.call_off()


def _check_live(case: Case) -> None:
    if case.ledger.job_named(case.job).state.is_terminal:
        raise Conflict(f"{case.job} has ended; to do it again takes a new job")


def _roll_on(case: Case) -> None:
    """Let rollouts go on of which a run waits for that."""
    paused = {run.job for run in case.runs if _waits_in_rollout(run)}
    for job in sorted(paused):
        if resume_rollout(case.ledger, case.ledger.job_named(job), actor=case.actor):
            case.changed |= {case.job, job}


def _waits_in_rollout(run: RunEntry) -> bool:
    return run.state is State.PAUSED and run.reason is Reason.ROLLOUT


def _is_stuck(run: RunEntry) -> bool:
    """Whether a person has to say what became of it, or is to become of it."""
    return run.attention and run.state is State.PAUSED and not _waits_in_rollout(run)
