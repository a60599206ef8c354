"""Followers: what an action's reply asks for becomes jobs, or a reason why not.

In the name of the caller of the job that asks, in its org, signed by the server; weighed against
the fleet like any request.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid5

from fleetjobs.access import Role
from fleetjobs.contract import Next
from fleetjobs.control.acceptance import Acceptance, Survey, meaning_of
from fleetjobs.errors import Denied, QueueFull, Refused
from fleetjobs.jobs import Job, Link
from fleetjobs.messages import Reply
from fleetjobs.names import JobId, NodeId
from fleetjobs.requests import Request
from fleetjobs.signing import node_key_id
from fleetjobs.states import Reason, StartIf, State, WaitReason
from fleetjobs.store.access import get_account
from fleetjobs.store.entries import RunEntry
from fleetjobs.store.followers import (
    count_followers,
    depth_of,
    fail_followers,
    keep_followers,
    last_position,
    root_of,
)
from fleetjobs.store.jobs import get_job
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.plans import Part
from fleetjobs.store.standing import due_at
from fleetjobs.targets import Target

DEEPEST = 8  #: jobs that follow one another, the first one not counted
MOST = 1000  #: jobs that follow in one plan, or follow one job, at whatever depth
_NAMED = 20  #: ids that the log names at most
Seal = Callable[[Request], str]  #: signs in the caller's stead


def follower_id(job: str, node: str, attempt: int, index: int) -> JobId:
    """The id of the job that an attempt asks for, the first one being 0: the same each time."""
    return JobId(str(uuid5(UUID(job), f"{node}/{attempt}/{index}")))


@dataclass(frozen=True, slots=True)
class Followers:
    """Makes the jobs that replies ask for, in the transaction that counts the reply."""

    seal: Seal
    acceptance: Acceptance = field(default_factory=Acceptance)

    def follow(self, ledger: Ledger, run: RunEntry, reply: Reply) -> set[JobId]:
        """Keep the jobs that a success asks for; gives those that are new."""
        origin = get_job(ledger.connection, run.job, org=None)
        if origin is None:
            raise LookupError(f"{run.job} is in the ledger and not in the database")
        why = _in_vain(ledger, origin)
        if why:
            detail = {"why": why, "jobs": len(reply.next)}
            ledger.note(run, "run.next_refused", actor=node_key_id(run.node), detail=detail)
            return set()
        asking = Asking(self, ledger=ledger, run=run, reply=reply, origin=origin)
        return asking.take()


def _in_vain(ledger: Ledger, origin: Job) -> str:
    """Why nothing may follow the job; empty: it may."""
    root = ledger.job_named(root_of(origin))
    if root.called_off or ledger.job_named(origin.id).called_off:
        return "it was cancelled"
    if root.state is State.REVERTING or origin.undoes is not None:
        return "its plan is being rolled back"
    return ""


@dataclass(slots=True)
class Asking:
    """One reply that asks for jobs; used once."""

    followers: Followers
    ledger: Ledger
    run: RunEntry
    reply: Reply
    origin: Job
    survey: Survey = field(default_factory=Survey)
    parts: list[Part] = field(default_factory=list)
    refused: list[tuple[Job, Reason, str]] = field(default_factory=list)

    def take(self) -> set[JobId]:
        """Keep all that may be, and what may not be as failed; gives those that are new."""
        connection = self.ledger.connection
        root = root_of(self.origin)
        made, last = count_followers(connection, root), last_position(connection, root)
        room = max(0, MOST - made)
        barred = self._barred(depth_of(connection, self.origin))
        for index, asked in enumerate(self.reply.next[:room]):
            self._make(index, asked, last + 1 + index, barred)
        over = len(self.reply.next) - room
        if over > 0 and made <= MOST:  # one stands for all of them: nothing here is without end
            why = QueueFull(f"{over} more than the {MOST} jobs that may follow {root}")
            self._make(room, self.reply.next[room], last + 1 + room, why)
        kept = keep_followers(self.ledger, self.parts)
        ids = {job.id for job in kept}
        failed = [item for item in self.refused if item[0].id in ids]
        fail_followers(self.ledger, failed)
        detail = {
            "jobs": [job.id for job in kept[:_NAMED]],
            "made": len(kept) - len(failed),
            "refused": len(self.reply.next) - len(kept) + len(failed),
        }
        self.ledger.note(self.run, "run.followed", actor=node_key_id(self.run.node), detail=detail)
        return ids

    def _barred(self, depth: int) -> Refused | None:
        """Why none of them may be, whatever it is; None: each for itself."""
        account = get_account(self.ledger.connection, self.origin.caller)
        everywhere = account is not None and account.role is Role.FLEET_ADMIN
        if account is None or not (everywhere or account.org == self.origin.org):
            return Denied(f"{self.origin.caller} has no account in {self.origin.org} any more")
        if account.role is Role.VIEWER:
            return Denied(f"{self.origin.caller} may only look")
        if depth >= DEEPEST:
            return Denied(f"{DEEPEST} jobs follow one another already, and no more may")
        return None

    def _make(self, index: int, asked: Next, position: int, barred: Refused | None) -> None:
        request = self._request(index, asked)
        sealed = self.followers.seal(request)
        now = self.ledger.now
        try:
            if barred is not None:
                raise barred
            weighed = self.followers.acceptance.weigh(
                self.ledger.connection,
                sealed,
                request,
                org=self.origin.org,
                now=now,
                survey=self.survey,
            )
        except Refused as refused:
            job = self._placed(self._stillborn(request, sealed), position)
            self._keep(request, job, [self.run.node], due=False)
            reason = Reason.DENIED if isinstance(refused, Denied) else Reason.INVALID
            self.refused.append((job, reason, str(refused)))
            return
        job = self._placed(weighed.job, position)
        if job.parent != job.origin:
            job = dataclasses.replace(job, on_failure=self.origin.on_failure)
        self._keep(request, job, weighed.nodes, due=True)

    def _request(self, index: int, asked: Next) -> Request:
        origin, now = self.origin, self.ledger.now
        begin = now + timedelta(seconds=asked.delay_s) if asked.delay_s else None
        return Request(
            id=follower_id(origin.id, self.run.node, self.reply.attempt, index),
            org=origin.org,
            caller=origin.caller,
            agent=asked.agent or origin.agent,
            action=asked.action,
            data=asked.data,
            target=asked.target or Target(identities=(self.run.node,)),
            created_at=now,
            not_before=begin,
            priority=origin.priority,
        )

    def _placed(self, job: Job, position: int) -> Job:
        """The job at its place: behind the one that asked, and in its plan if it is in one."""
        origin = self.origin
        is_part = origin.parent is not None and origin.parent != origin.origin
        link = Link(job=origin.id, leg=origin.leg or "", when=StartIf.SUCCEEDED, barrier=False)
        return dataclasses.replace(
            job,
            plan=root_of(origin),
            parent=origin.parent if is_part else origin.id,
            origin=origin.id,
            leg=f"{job.action}.{position}",  # no key that a person writes has a dot
            position=position,
            needs=(link,) if origin.leg else (),
        )

    def _keep(self, request: Request, job: Job, nodes: list[NodeId], *, due: bool) -> None:
        at = due_at(job.not_before, self.ledger.now) if due else None
        self.parts.append(Part(job=job, meaning=meaning_of(request), nodes=nodes, dispatch_at=at))

    def _stillborn(self, request: Request, sealed: str) -> Job:
        """A job that will not be, with a run where it was asked for, to say why.

        Its inputs are shown nowhere: no interface says which of them are secrets.
        """
        return Job(
            id=JobId(request.id),
            org=request.org,
            caller=request.caller,
            agent=request.agent,
            action=request.action,
            data={},
            target=request.target,
            sealed=sealed,
            state=State.WAITING,
            wait_reason=WaitReason.OUTBOX,
            reason=None,
            tally=Counter({State.WAITING: 1}),
            completion=None,
            attention=False,
            created_at=self.ledger.now,
            not_before=None,
            start_before=None,
            started_at=None,
            ended_at=None,
        )
