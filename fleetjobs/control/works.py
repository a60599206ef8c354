"""Works: what a schedule asks for, an action or a plan, as a request that becomes a job."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from fleetjobs.control.acceptance import Acceptance, Survey, meaning_of
from fleetjobs.control.drafts import Draft, Drawing
from fleetjobs.control.keeping import keep_job
from fleetjobs.errors import InvalidSchedule
from fleetjobs.jobs import Job, JobId, Kind
from fleetjobs.messages import After, Request
from fleetjobs.plans.documents import PlanRequest
from fleetjobs.schedules.documents import Call, Work
from fleetjobs.states import Reason, StartIf, State, Tally
from fleetjobs.store.bells import CHANGES, DISPATCH
from fleetjobs.store.database import ring
from fleetjobs.store.jobs import insert_job
from fleetjobs.store.plans import insert_plan

Seal = Callable[[Request | PlanRequest], str]  #: signs in the caller's name
Mark = Callable[[Job], Job]  #: writes on a job whose it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """When a job may start, and behind which others."""

    not_before: datetime | None = None
    start_before: datetime | None = None
    after: Sequence[JobId] = ()  # actions only


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

    def ask(self, work: Work, id: JobId, start: Start, mark: Mark) -> Job:  # noqa: A002  the job's, as in every document
        """The work as a job; raises Refused as submitting it would."""
        request = self.request(work, id, start)
        if isinstance(request, PlanRequest):
            draft = self._draw(request)
            plan = dataclasses.replace(draft.parts[0], job=mark(draft.parts[0].job))
            parts = [plan, *draft.parts[1:]]
            insert_plan(self.connection, parts, draft.links)
            ring(self.connection, DISPATCH)
            ring(self.connection, CHANGES, request.id)
            return plan.job
        weighed = self.acceptance.weigh(
            self.connection,
            self.seal(request),
            request,
            org=self.org,
            now=self.now,
            survey=self.survey,
        )
        job = mark(weighed.job)
        keep_job(self.connection, request, dataclasses.replace(weighed, job=job), self.now)
        return job

    def fail(
        self,
        work: Work,
        id: JobId,  # noqa: A002  as in every document
        start: Start,
        mark: Mark,
        *,
        state: State,
        reason: Reason,
        data: dict[str, Any],
    ) -> None:
        """The work as a job that ended before it began: it has no runs. `data`: secrets masked."""
        request = self.request(work, id, start)
        whole = isinstance(request, PlanRequest)
        job = Job(
            id=id,
            org=self.org,
            caller=self.caller,
            agent=Kind.PLAN if isinstance(request, PlanRequest) else request.agent,
            action=request.plan.name if isinstance(request, PlanRequest) else request.action,
            data=data,
            target=request.plan.target if isinstance(request, PlanRequest) else request.target,
            sealed=self.seal(request),
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
            kind=Kind.PLAN if whole else Kind.ACTION,
        )
        insert_job(self.connection, mark(job), [], meaning=meaning_of(request), dispatch_at=None)
        ring(self.connection, CHANGES, id)

    def shown(self, work: Work, id: JobId) -> Work:  # noqa: A002  as in every document
        """The work with its secrets masked. Raises Refused as asking for it would."""
        request = self.request(work, id, AT_ONCE)
        if isinstance(request, PlanRequest):
            masked = {part.job.leg: part.job.data for part in self._draw(request).parts}
            legs = tuple(
                msgspec.structs.replace(leg, data=masked[leg.key]) for leg in request.plan.legs
            )
            return Work(plan=msgspec.structs.replace(request.plan, legs=legs))
        weighed = self.acceptance.weigh(self.connection, "", request, org=self.org, now=self.now)
        return Work(call=msgspec.structs.replace(_call(work), data=weighed.job.data))

    def request(self, work: Work, id: JobId, start: Start) -> Request | PlanRequest:  # noqa: A002  as in every document
        """What is asked for. Raises InvalidSchedule if it is not one thing that we can do."""
        check_work(work)
        if work.plan is not None:
            return PlanRequest(
                id=id,
                org=self.org,
                caller=self.caller,
                plan=work.plan,
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
        )

    def _draw(self, request: PlanRequest) -> Draft:
        return Drawing(
            acceptance=self.acceptance,
            connection=self.connection,
            sealed=self.seal(request),
            request=request,
            org=self.org,
            seal=self.seal,
            now=self.now,
        ).draw()


def check_work(work: Work) -> None:
    """Let exactly one thing pass that we can do. Raises InvalidSchedule."""
    given = [name for name in ("call", "plan", "template") if getattr(work, name) is not None]
    if len(given) != 1:
        raise InvalidSchedule(
            f"work: give one of call and plan, not {' and '.join(given) or 'none'}"
        )
    if work.template is not None:
        raise InvalidSchedule("work: templates are not possible yet; give a call or a plan")


def _call(work: Work) -> Call:
    if work.call is None:
        raise LookupError("a work without a call or plan was accepted")
    return work.call
