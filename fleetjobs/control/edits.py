"""Edits: an accepted job that has not begun, asked for anew under the same id."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from fleetjobs.control.acceptance import Acceptance, Weighed, has_to_wait, meaning_of
from fleetjobs.control.noting import note
from fleetjobs.control.rewiring import Bearings
from fleetjobs.documents import decode
from fleetjobs.errors import Conflict, NotFound, Outdated
from fleetjobs.interfaces import Action
from fleetjobs.jobs import Job, Kind, Pending
from fleetjobs.names import JobId, NodeId
from fleetjobs.nodes import SILENT_AFTER
from fleetjobs.plans.checks import check_data
from fleetjobs.requests import Request
from fleetjobs.signing import account_key_id, peek
from fleetjobs.states import State, WaitReason
from fleetjobs.store.accepting import insert_runs
from fleetjobs.store.bells import CHANGES
from fleetjobs.store.cancels import call_off
from fleetjobs.store.database import Database, ring
from fleetjobs.store.dependencies import begin_adding, leads_to, named_states
from fleetjobs.store.edits import apply_edit, edit_of, forget_place
from fleetjobs.store.entries import JobEntry, RunEntry
from fleetjobs.store.jobs import get_job
from fleetjobs.store.judging import block, settle, skip_in_vain
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.nodes import nodes_heard
from fleetjobs.store.outbox import line_up, may_be_handed, recall
from fleetjobs.store.standing import due_at

_EDITABLE = frozenset({State.SCHEDULED, State.WAITING, State.QUEUED, State.PAUSED})


@dataclass(frozen=True, slots=True)
class Edits:
    """Changes jobs; safe to use from any thread."""

    database: Database
    clock: Callable[[], datetime]
    acceptance: Acceptance
    address: str = ""  # from where it is asked, for the audit

    def request(self, job: JobId, *, org: str) -> Request:
        """The request as it stands, secrets included: what a change in part starts from.

        Raises NotFound, and Conflict for a plan or a group.
        """
        with self.database.reading() as connection:
            found = get_job(connection, job, org=org)
        if found is None:
            raise NotFound(f"there is no job {job}")
        if found.kind is not Kind.ACTION:
            raise Conflict(f"{job} is a {found.kind}; its legs can be changed")
        return signed_request(found)

    def edit(self, sealed: str, request: Request, *, org: str, account: str, version: int) -> Job:
        """Let the job of that id be what this request, whose seal was checked, asks for.

        What a node already has is changed when it gives it back unstarted. Raises Outdated if the
        job's version is another, Conflict if it has begun, NotFound, and what `submit` raises.
        """
        now = self.clock()
        name = JobId(request.id)
        with self.database.reading() as connection:
            before = _editable(connection, request, org)
            bearings = Bearings.of(connection, before)
            weighed = self._weigh(connection, sealed, request, bearings, org=org, now=now)
        with self.database.transaction() as connection:
            if request.after:
                begin_adding(connection)
                named_states(connection, request.after)  # locked before it, as when they end
            ledger = Ledger.of_jobs(connection, [name], now)
            _check(ledger.job_named(name), version)
            blocked = bool(request.after) and has_to_wait(connection, request, org)
            if leads_to(connection, request.after, name):
                raise Conflict(f"{name} would wait for itself")
            change = _Change(
                ledger, name, account_key_id(account), weighed, blocked=blocked, bearings=bearings
            )
            change.make(request, kept_target=request.target == before.target)
            ring(connection, CHANGES, ",".join(sorted(settle(ledger))))
            changed = get_job(connection, name, org=org) or before
            note(
                self,
                connection,
                "job.edited",
                name,
                account=account,
                org=org,
                before=_told(before),
                after=_told(changed),
            )
        return changed

    def _weigh(
        self,
        connection: Connection,
        sealed: str,
        request: Request,
        bearings: Bearings | None,
        *,
        org: str,
        now: datetime,
    ) -> Weighed:
        weigh = self.acceptance.weigh
        if bearings is None:
            return weigh(connection, sealed, request, org=org, now=now)
        if request.after:
            raise Conflict(f"{request.id} is a leg: it waits for what its plan says")
        if request.splay_s:
            raise Conflict(f"{request.id} is a leg: it has no splay; a rollout paces its nodes")
        bearings.check_way_back()

        def check(action: Action, data: Mapping[str, Any]) -> None:
            check_data(action, data, lambda one: bearings.type_of(connection, one))

        weighed = weigh(connection, sealed, request, org=org, now=now, check=check)
        job = bearings.adapt(weighed.job, len(weighed.nodes))
        return dataclasses.replace(weighed, job=job)


def _told(job: Job) -> dict[str, Any]:
    """The job as the audit tells of it; its inputs may be secret, and its events name them."""
    return {
        "version": job.version,
        "state": job.state,
        "not_before": job.not_before,
        "start_before": job.start_before,
    }


def _editable(connection: Connection, request: Request, org: str) -> Job:
    """The job of that id, if it can become what is asked. Raises NotFound, Conflict."""
    name = JobId(request.id)
    job = get_job(connection, name, org=org)
    if job is None:
        raise NotFound(f"there is no job {name}")
    if job.kind is not Kind.ACTION:
        raise Conflict(f"{name} is a {job.kind}; its legs can be changed")
    if (request.agent, request.action) != (job.agent, job.action):
        raise Conflict("another action is another job")
    _check_rollout(job, request)
    _check_undo(job, request)
    return job


def _check_rollout(before: Job, request: Request) -> None:
    """The nodes of a rollout are dealt out to its batches, and stay there. Raises Conflict."""
    asked = signed_request(before)
    rolls = asked.rollout is not None or request.rollout is not None
    if rolls and (asked.rollout, asked.target) != (request.rollout, request.target):
        raise Conflict("the batches of a rollout stay as they are; cancel it and ask anew")


def _check_undo(before: Job, request: Request) -> None:
    """What takes a leg back was signed for its inputs and nodes as they are. Raises Conflict."""
    asked = signed_request(before)
    changed = (asked.data, asked.target) != (request.data, request.target)
    if changed and (before.undo or {}).get("sealed"):
        raise Conflict(
            f"{before.leg} would be undone as it was asked for first: only its times and retries"
            " can be changed; cancel the plan and ask anew"
        )


def signed_request(job: Job) -> Request:
    """What the caller asked for, secrets included."""
    return decode(Request, peek(job.sealed))


def _check(entry: JobEntry, version: int) -> None:
    if entry.version != version:
        raise Outdated(f"{entry.id} is at version {entry.version}, no longer at {version}")
    begun = entry.started_at is not None and entry.state is not State.SCHEDULED
    if begun or entry.state not in _EDITABLE:
        how = "has begun" if begun and entry.state in _EDITABLE else f"is {entry.state}"
        raise Conflict(f"{entry.id} {how}; only what has not begun can be changed")


@dataclass(slots=True)
class _Change:
    """One job on its way from what it was to what it is to be."""

    ledger: Ledger
    job: JobId
    actor: str
    weighed: Weighed
    blocked: bool
    bearings: Bearings | None  # of a leg

    def make(self, request: Request, *, kept_target: bool) -> None:
        """Change what can be changed now, and have nodes asked for the rest."""
        entry = self.ledger.job_named(self.job)
        live = [run for run in self.ledger.runs_of(self.job) if not run.state.is_terminal]
        wanted = {run.node for run in live} if kept_target else set(self.weighed.nodes)
        known = {run.node for run in self.ledger.runs_of(self.job)}
        added = sorted(wanted - known)
        if self.bearings is not None:
            fills = self.weighed.job.fills
            self.bearings.check_nodes(self.ledger.connection, sorted(wanted), fills)
        self._remove([run for run in live if run.node not in wanted])
        kept = [run for run in live if run.node in wanted]
        edit = edit_of(self.weighed.job, meaning=meaning_of(request), after=request.after)
        self.ledger.touch(entry, version=entry.version + 1, edit=edit)
        if added or not kept or not all(run.state is State.QUEUED for run in kept):
            apply_edit(self.ledger, entry, actor=self.actor)
        self._add(entry, added)
        for run in kept:
            self._change(run)
        if self.bearings is not None and self._moves(self.bearings, kept_target=kept_target):
            self.ledger.include_jobs([self.job])
            self.bearings.rewire(self.ledger, sorted(wanted), self.weighed.job.fills)
        elif entry.edit is None:
            skip_in_vain(self.ledger, self.job)

    def _moves(self, bearings: Bearings, *, kept_target: bool) -> bool:
        """Whether the leg waits for others, or others for it, than before."""
        return not kept_target or bearings.refers_anew(self.weighed.job.fills)

    def _remove(self, runs: list[RunEntry]) -> None:
        if not runs:
            return
        since = self.ledger.now - SILENT_AFTER
        heard = nodes_heard(self.ledger.connection, [run.node for run in runs], since)
        for run in runs:
            if self.bearings is not None and not may_be_handed(self.ledger, run):
                self.ledger.drop(run)
                continue
            alive = run.node in heard
            call_off(self.ledger, run, actor=self.actor, is_alive=alive, force=False)

    def _add(self, entry: JobEntry, nodes: list[NodeId]) -> None:
        if not nodes:
            return
        self.blocked |= self.bearings is not None and bool(self.bearings.placed.needs)
        state = State.WAITING if self.blocked else self.weighed.job.state
        job = dataclasses.replace(self.weighed.job, state=state, tally=Counter())
        due = None if self.blocked else due_at(job.not_before, self.ledger.now)
        if self.blocked:
            job = dataclasses.replace(job, wait_reason=WaitReason.DEPENDENCY)
        insert_runs(self.ledger.connection, job, nodes, due)
        entry.tally[state] += len(nodes)
        entry.blocked += len(nodes) if self.blocked else 0

    def _change(self, run: RunEntry) -> None:
        if run.state is State.QUEUED:
            if run.pending not in {Pending.HOLD, Pending.DENY}:
                recall(self.ledger, run, Pending.EDIT, actor=self.actor)
        elif run.is_set_aside:
            forget_place(self.ledger.job_of(run), run)
            run.change(expire_at=self.weighed.job.start_before)
        elif run.state in {State.SCHEDULED, State.WAITING}:
            handed = may_be_handed(self.ledger, run)
            forget_place(self.ledger.job_of(run), run)
            line_up(self.ledger, run, actor=self.actor, blocked=block(self.ledger, run))
            if handed:
                recall(self.ledger, run, Pending.EDIT, actor=self.actor)
