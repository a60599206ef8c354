"""Works: an action, a plan or a template, as a request that becomes a job."""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from fleetjobs.control.acceptance import Acceptance, Survey, Weighed
from fleetjobs.control.drafts import Draft, Drawing
from fleetjobs.control.foresight import foresee
from fleetjobs.control.keeping import keep_job, plain_of
from fleetjobs.control.limits import Limits
from fleetjobs.control.resolving import Resolved, resolve
from fleetjobs.errors import Conflict, Refused
from fleetjobs.jobs import Job, Kind
from fleetjobs.names import JobId, NodeId
from fleetjobs.plans.documents import PlanRequest
from fleetjobs.requests import After, Request
from fleetjobs.schedules.documents import Call, Work
from fleetjobs.signing import digest
from fleetjobs.states import Reason, StartIf, State, Tally
from fleetjobs.store.accepting import Plain, insert_job
from fleetjobs.store.bells import CHANGES, DISPATCH
from fleetjobs.store.database import ring
from fleetjobs.store.entries import COORDINATOR
from fleetjobs.store.events import add_events, event_row
from fleetjobs.store.plans import insert_plan
from fleetjobs.store.telling import tell_moves
from fleetjobs.targets import Target

logger = logging.getLogger(__name__)

Seal = Callable[[Request | PlanRequest], str]  #: signs in the caller's name
Mark = Callable[[Job], Job]  #: writes on a job whose it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """When a job may start, and behind which others."""

    not_before: datetime | None = None
    start_before: datetime | None = None
    after: Sequence[JobId] = ()  # actions only
    splay_s: float = 0.0  # actions only
    priority: int | None = None  # None: as the work says


AT_ONCE = Start()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Asks for works in somebody's name, within a transaction."""

    connection: Connection
    acceptance: Acceptance
    seal: Seal
    org: str
    caller: str
    now: datetime
    survey: Survey | None = None  # what others found out in this transaction, and this one will
    limits: Limits | None = None  # None: there is none
    warnings: list[str] | None = None  # what stands in the way of what is asked; None: no matter
    later: list[Plain] | None = None  # plain jobs that its owner keeps, all at once

    def ask(self, work: Work, id: JobId, start: Start, mark: Mark) -> Job:  # noqa: A002  the job's, as in every document
        """The work as a job; raises Refused as submitting it would."""
        resolved = resolve(self.connection, work, org=self.org)
        request = self._request(resolved.work, id, start)
        if isinstance(request, PlanRequest):
            draft = self._draw(request, resolved)
            plan = draft.parts[0]
            plan = dataclasses.replace(plan, job=resolved.mark(mark(plan.job)))
            self._check_room({node for part in draft.parts for node in part.nodes})
            self._foresee(draft)
            if not insert_plan(self.connection, [plan, *draft.parts[1:]], draft.links):
                raise Conflict(f"the id {id} was used before")
            ring(self.connection, DISPATCH)
            ring(self.connection, CHANGES, request.id)
            return plan.job
        weighed = self._weigh(request, self.seal(request), resolved)
        self._check_room(set(weighed.nodes))
        self._foresee(weighed)
        job = resolved.mark(mark(weighed.job))
        weighed = dataclasses.replace(weighed, job=job)
        plain = None if self.later is None else plain_of(request, weighed, self.now)
        if self.later is not None and plain is not None:
            self.later.append(plain)
            return job
        kept = keep_job(self.connection, request, weighed, self.now)
        if kept is None:
            raise Conflict(f"the id {id} was used before")
        return kept

    def fail(
        self,
        work: Work,
        id: JobId,  # noqa: A002  as in every document
        start: Start,
        mark: Mark,
        *,
        state: State,
        reason: Reason,
        why: str,
        data: dict[str, Any],
    ) -> None:
        """The work as a job that ended before it began: it has no runs. `data`: secrets masked.

        `why` is for people, and stands in the log.
        """
        job = self._ended(work, id, start, state, reason)
        job = mark(dataclasses.replace(job, data=data))
        meaning = digest(job.sealed)
        if not insert_job(self.connection, job, [], meaning=meaning, dispatch_at=None):
            logger.warning("job %s: %s; and somebody else has its id", id, why)
            return
        ended = event_row(
            at=self.now,
            kind=f"job.{state}",
            actor=COORDINATOR,
            org=self.org,
            job=id,
            new=state,
            reason=reason,
            detail={"why": why},
        )
        add_events(self.connection, [ended])
        tell_moves(self.connection, [ended], self.now)
        ring(self.connection, CHANGES, id)

    def _ended(self, work: Work, id: JobId, start: Start, state: State, reason: Reason) -> Job:  # noqa: A002  as in every document
        """What can be said of a work that may not even be there: its template was deleted."""
        request: Request | PlanRequest | None = None
        resolved = Resolved(work=work)
        try:
            resolved = resolve(self.connection, work, org=self.org)
            request = self._request(resolved.work, id, start)
        except Refused:
            logger.info("job %s: what it asks for is not there", id)
        agent, action, target = _named(request, work)
        job = Job(
            id=id,
            org=self.org,
            caller=self.caller,
            agent=agent,
            action=action,
            data={},
            target=target,
            sealed="" if request is None else self.seal(request),
            state=state,
            wait_reason=None,
            reason=reason,
            tally=Tally(),
            completion=None,
            attention=False,
            created_at=self.now,
            not_before=start.not_before,
            start_before=start.start_before,
            started_at=None,
            ended_at=self.now,
            kind=Kind.ACTION if isinstance(request, Request) else Kind.PLAN,
        )
        return resolved.mark(job)

    def shown(self, work: Work, id: JobId) -> Work:  # noqa: A002  as in every document
        """The work with its secrets masked. Raises Refused as asking for it would."""
        resolved = resolve(self.connection, work, org=self.org)
        request = self._request(resolved.work, id, AT_ONCE)
        if isinstance(request, PlanRequest):
            masked = {part.job.leg: part.job.data for part in self._draw(request, resolved).parts}
            legs = tuple(
                msgspec.structs.replace(leg, data=masked[leg.key]) for leg in request.plan.legs
            )
            plain = Work(plan=msgspec.structs.replace(request.plan, legs=legs))
        else:
            weighed = self._weigh(request, "", resolved)
            data = weighed.job.data
            plain = Work(call=msgspec.structs.replace(_call(resolved.work), data=data))
        return plain if resolved.shown is None else Work(template=resolved.shown)

    def draw(self, resolved: Resolved, id: JobId) -> Draft | Weighed:  # noqa: A002  as in every document
        """What it would be; nothing is kept. Raises Refused as asking for it would."""
        request = self._request(resolved.work, id, AT_ONCE)
        if isinstance(request, PlanRequest):
            return self._draw(request, resolved)
        return self._weigh(request, "", resolved)

    def _request(self, work: Work, id: JobId, start: Start) -> Request | PlanRequest:  # noqa: A002  as in every document
        """What is asked for."""
        if work.plan is not None:
            plan = work.plan
            if start.priority is not None:
                plan = msgspec.structs.replace(plan, priority=start.priority)
            return PlanRequest(
                id=id,
                org=self.org,
                caller=self.caller,
                plan=plan,
                created_at=self.now,
                not_before=start.not_before,
                start_before=start.start_before,
            )
        call = _call(work)
        return Request(
            id=id,
            org=self.org,
            caller=self.caller,
            agent=call.agent,
            action=call.action,
            data=call.data,
            target=call.target,
            created_at=self.now,
            not_before=start.not_before,
            start_before=start.start_before,
            after=tuple(After(job=job, when=StartIf.COMPLETED) for job in start.after),
            retries=call.retries,
            splay_s=start.splay_s,
            priority=next((one for one in (start.priority, call.priority) if one is not None), 0),
        )

    def _draw(self, request: PlanRequest, resolved: Resolved) -> Draft:
        draft = Drawing(
            acceptance=self.acceptance,
            connection=self.connection,
            sealed=self.seal(request),
            request=request,
            org=self.org,
            seal=self.seal,
            now=self.now,
        ).draw()
        resolved.check_hidden((part.job.leg or "", part.job.data) for part in draft.parts)
        return draft

    def _weigh(self, request: Request, sealed: str, resolved: Resolved) -> Weighed:
        weighed = self.acceptance.weigh(
            self.connection, sealed, request, org=self.org, now=self.now, survey=self.survey
        )
        resolved.check_hidden((leg, weighed.job.data) for leg, _ in resolved.hidden)
        return weighed

    def _foresee(self, found: Draft | Weighed) -> None:
        if self.warnings is not None:
            self.warnings.extend(foresee(self.connection, found, self.now))

    def _check_room(self, nodes: set[NodeId]) -> None:
        if self.limits is not None:
            self.limits.check(self.connection, self.org, sorted(nodes))


def nodes_of(found: Draft | Weighed) -> list[NodeId]:
    """Where it would run, by name."""
    if isinstance(found, Weighed):
        return sorted(found.nodes)
    return sorted({node for part in found.parts for node in part.nodes})


def _named(request: Request | PlanRequest | None, work: Work) -> tuple[str, str, Target]:
    """Agent, action and target as a job shows them."""
    if request is None:
        name = work.template.name if work.template else "plan"
        return Kind.PLAN, name, Target()
    if isinstance(request, PlanRequest):
        return Kind.PLAN, request.plan.title, request.plan.target
    return request.agent, request.action, request.target


def _call(work: Work) -> Call:
    if work.call is None:
        raise LookupError("a work without a call or plan was accepted")
    return work.call
