"""Documents: what the interface answers with. Times are RFC 3339 in UTC, sizes are bytes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import msgspec
from pydantic import BaseModel, Field

from fleetjobs.api.progress import ProgressDocument
from fleetjobs.jobs import Attempt, Dependency, Event, Job, Kind, Pending, Run
from fleetjobs.rollouts import Phase
from fleetjobs.states import Completion, Reason, Rollback, StartIf, State, WaitReason

EMPTY: Mapping[Pending, int] = MappingProxyType({})

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """Some of a list; `next` asks for more."""

    items: list[T]
    next: str | None = Field(description="the cursor of the next page; null: this was the last")


class AfterDocument(BaseModel):
    """Another job, or one of its runs, that has to end first."""

    job: str
    node: str | None = Field(description="null: the whole job")
    when: StartIf = Field(description="how it has to end")
    met: bool = Field(description="it has ended so")

    @classmethod
    def of(cls, item: Dependency) -> "AfterDocument":
        """The dependency as a document."""
        return cls.model_construct(job=item.on_job, node=item.on_node, when=item.when, met=item.met)


class RolloutDocument(BaseModel):
    """How far a job has come that goes over its nodes batch after batch."""

    phase: Phase = Field(
        description="rolling: a batch is at work; resting: until `next_at`; "
        "paused: a person lets the next batch begin; stopped: nothing further begins"
    )
    batch: int = Field(description="the one that is out, from 1")
    batches: int
    size: int = Field(description="how many nodes that batch has")
    live: int = Field(description="how many of those have not ended")
    failed: int = Field(description="nodes that failed, were not reached, or were lost")
    max_failures: int = Field(description="once more have failed, no further node begins")
    excused: int = Field(description="failures that a person knew of who let it go on")
    next_at: datetime | None = Field(description="when the next batch begins, while it rests")

    @classmethod
    def of(cls, job: Job) -> "RolloutDocument | None":
        """The job's rollout as a document; None if it has none."""
        course = job.rollout
        if course is None:
            return None
        return cls.model_construct(
            phase=course.phase,
            batch=course.turn,
            batches=len(course.sizes),
            size=course.sizes[course.turn - 1],
            live=course.live,
            failed=job.tally[State.FAILED] + job.tally[State.EXPIRED],
            max_failures=course.max_failures,
            excused=course.excused,
            next_at=course.next_at,
        )


class JobDocument(BaseModel):
    """One accepted request, and how it stands."""

    id: str = Field(description="UUID, lower case")
    org: str
    caller: str
    agent: str
    action: str
    data: dict[str, Any] = Field(description="the inputs; secrets are masked")
    target: dict[str, Any] = Field(description="which nodes were meant; only what was given")
    state: State
    wait_reason: WaitReason | None = Field(description="which guard is unmet, while waiting")
    reason: Reason | None = Field(description="why it stands or ended so")
    completion: Completion | None = Field(description="how much was done; null while live")
    attention: bool = Field(description="a person has to decide")
    nodes: int = Field(description="how many runs it has")
    tally: dict[str, int] = Field(description="how many of its runs, or parts, stand where")
    created_at: datetime
    not_before: datetime | None
    start_before: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    version: int = Field(description="its ETag; grows with each change that a person makes")
    rerun_of: str | None = Field(description="the job that it repeats")
    schedule: str | None = Field(description="the id of the schedule that made it")
    occurrence: int | None = Field(description="of that schedule, from 1 on")
    missed_count: int = Field(description="occurrences it stands for that did not start in time")
    template: str | None = Field(description="the id of the template that it was made from")
    template_label: str | None = Field(description="what that is called")
    template_version: int | None
    max_attempts: int = Field(description="how often a run is tried, the first time counted")
    splay_s: float = Field(description="seconds over which its nodes begin; 0: all at once")
    priority: int = Field(description="among those that wait for a slot; the higher goes first")
    after: list[AfterDocument] = Field(description="what it waits, or waited, for")
    pending: dict[Pending, int] = Field(
        description="how many of its nodes were told so and have not confirmed it yet"
    )
    confirmed: bool = Field(description="whether its nodes know all that was asked for")
    kind: Kind
    plan: str | None = Field(
        description="the plan that it is a part of, or the first job it follows, at whatever depth"
    )
    parent: str | None = Field(
        description="the plan or group that it is directly in, or else the job that asked for it"
    )
    origin: str | None = Field(description="the job whose action asked for it, in its reply")
    children: list[str] | None = Field(
        description="what is directly in it, or what its action asked for: the first 1000 ids; "
        "null in lists"
    )
    leg: str | None = Field(description="its key in the plan")
    parts: int = Field(description="how many legs and groups are directly in it")
    elaborated: bool = Field(description="it has begun; until then percent_complete is null")
    percent_complete: float | None = Field(description="of it that is done, 0 to 100")
    max_failures: int = Field(description="so many of its runs, or parts, may fail")
    on_failure: str | None = Field(description="of a leg: what follows when it has failed")
    rollout: RolloutDocument | None = Field(description="null: all its nodes at once")
    undoes: str | None = Field(description="the leg that it takes back; of a group, the plan")
    leg_summary: dict[str, int] | None = Field(
        description="of a plan whose legs were forgotten: `total` and `succeeded`"
    )
    rollback: Rollback | None = Field(description="of a plan: what became of its undoing")
    rollback_percent: float | None = Field(description="of what is undone, 0 to 100")
    warnings: list[str] = Field(
        default=[], description="in the answer to its submission: what stands in its way"
    )
    not_reversible: list[str] = Field(description="legs that were done and that nothing undoes")

    @classmethod
    def of(
        cls, job: Job, pending: Mapping[Pending, int] = EMPTY, after: Sequence[Dependency] = ()
    ) -> "JobDocument":
        """The job as a document; see `api.describing` for what is told beside it."""
        return cls.model_construct(
            id=job.id,
            org=job.org,
            caller=job.caller,
            agent=job.agent,
            action=job.action,
            data=job.data,
            target=msgspec.to_builtins(job.target),
            state=job.state,
            wait_reason=job.wait_reason,
            reason=job.reason,
            completion=job.completion,
            attention=job.attention,
            nodes=job.tally.total() if job.kind is Kind.ACTION else 0,
            tally={state.value: count for state, count in sorted(job.tally.items()) if count},
            created_at=job.created_at,
            not_before=job.not_before,
            start_before=job.start_before,
            started_at=job.started_at,
            ended_at=job.ended_at,
            version=job.version,
            rerun_of=job.rerun_of,
            schedule=job.schedule,
            occurrence=job.occurrence,
            missed_count=job.missed_count,
            template=job.template,
            template_label=None,
            template_version=job.template_version,
            max_attempts=job.max_attempts,
            splay_s=job.splay_s,
            priority=job.priority,
            after=[AfterDocument.of(item) for item in after],
            pending=dict(pending),
            confirmed=not pending,
            kind=job.kind,
            plan=job.plan,
            parent=job.parent,
            origin=job.origin,
            children=None,
            leg=job.leg,
            parts=0 if job.kind is Kind.ACTION else job.tally.total(),
            elaborated=job.percent is not None,
            percent_complete=job.percent,
            max_failures=job.max_failures,
            on_failure=job.on_failure,
            undoes=job.undoes,
            rollout=RolloutDocument.of(job),
            leg_summary=job.leg_summary,
            rollback=job.rollback,
            rollback_percent=job.rollback_percent,
            not_reversible=list(job.irreversible),
            warnings=[],
        )


class LogDocument(BaseModel):
    """What is known of one of a run's streams."""

    size: int = Field(description="bytes the run wrote")


class LogsDocument(BaseModel):
    """Both streams of a run."""

    stdout: LogDocument
    stderr: LogDocument


class RunDocument(BaseModel):
    """A job on one node, and its latest attempt."""

    job: str
    node: str
    state: State
    wait_reason: WaitReason | None
    reason: Reason | None
    attempt: int = Field(description="1 is the first")
    statuscode: int | None = Field(description="SimpleRPC status; null until there is a reply")
    statusmsg: str
    data: dict[str, Any] = Field(description="what the action returned")
    exit_code: int | None = Field(description="of the program; negative: the signal that ended it")
    queued_at: datetime | None
    started_at: datetime | None = Field(description="by the node's clock")
    ended_at: datetime | None = Field(description="by the node's clock")
    logs: LogsDocument
    step: str | None = Field(
        description="what its attempt does before the leg is tried again: undo:KEY or redo:KEY"
    )
    tries: int = Field(description="attempts that count; one that asked for a delay does not")
    next_attempt_at: datetime | None
    attention: bool = Field(description="a person has to decide")
    opens_at: datetime | None = Field(description="when the window that it waits for opens")
    blocked_by: str | None = Field(description="the job that holds the slot it waits for")
    progress: ProgressDocument | None = Field(
        description="while it is at work: how far its program said last that it has come"
    )
    give_up_at: datetime | None = Field(
        description="of a run whose node is lost: when it counts as failed; null: never"
    )
    pending: Pending | None = Field(description="what its node was told and has not confirmed yet")
    pending_at: datetime | None = Field(description="since when")
    confirmed: bool = Field(description="whether its node knows all that was asked for")

    @classmethod
    def of(cls, run: Run) -> "RunDocument":
        """The run as a document."""
        return cls.model_construct(
            job=run.job,
            node=run.node,
            state=run.state,
            wait_reason=run.wait_reason,
            reason=run.reason,
            attempt=run.attempt,
            statuscode=run.statuscode,
            statusmsg=run.statusmsg,
            data=run.data,
            exit_code=run.exit_code,
            queued_at=run.queued_at,
            started_at=run.started_at,
            ended_at=run.ended_at,
            logs=LogsDocument.model_construct(
                stdout=LogDocument.model_construct(size=run.stdout_size),
                stderr=LogDocument.model_construct(size=run.stderr_size),
            ),
            step=run.step,
            tries=run.tries,
            next_attempt_at=run.next_attempt_at,
            attention=run.attention,
            opens_at=run.opens_at,
            blocked_by=run.blocked_by,
            progress=ProgressDocument.of(run),
            give_up_at=run.expire_at if run.attention else None,
            pending=run.pending,
            pending_at=run.pending_at,
            confirmed=run.pending is None,
        )


class AttemptDocument(BaseModel):
    """One try of a run that is over."""

    job: str
    node: str
    attempt: int
    state: State
    reason: Reason | None
    statuscode: int | None
    statusmsg: str
    data: dict[str, Any]
    exit_code: int | None
    started_at: datetime | None = Field(description="by the node's clock")
    ended_at: datetime | None = Field(description="by the node's clock")
    step: str | None = Field(description="of what came before another try: undo:KEY or redo:KEY")
    late: bool = Field(description="its end came after it had been given up; it changed nothing")
    logs: LogsDocument

    @classmethod
    def of(cls, attempt: Attempt) -> "AttemptDocument":
        """The attempt as a document."""
        fields = {name: getattr(attempt, name) for name in cls.model_fields if name != "logs"}
        logs = LogsDocument.model_construct(
            stdout=LogDocument.model_construct(size=attempt.stdout_size),
            stderr=LogDocument.model_construct(size=attempt.stderr_size),
        )
        return cls.model_construct(**fields, logs=logs)


class EventDocument(BaseModel):
    """One row of the append-only log."""

    seq: int = Field(description="grows; within one job in the order of commits")
    at: datetime
    org: str | None
    job: str | None
    leg: str | None = Field(default=None, description="of events of a plan: the key of the leg")
    node: str | None
    kind: str = Field(description="job.<state>, run.<state>, node.refused, …")
    actor: str = Field(description="account:<name>, node:<identity>, coordinator, server")
    old: State | None
    new: State | None
    reason: str | None
    detail: dict[str, Any]
    run: RunDocument | None = Field(default=None, description="the run, if the event ended it")

    @classmethod
    def of(cls, event: Event, run: Run | None = None, leg: str | None = None) -> "EventDocument":
        """The event as a document, with the run that it ended, and the leg's key."""
        return cls.model_construct(
            seq=event.seq,
            at=event.at,
            org=event.org,
            job=event.job,
            leg=leg,
            node=event.node,
            kind=event.kind,
            actor=event.actor,
            old=event.old,
            new=event.new,
            reason=event.reason,
            detail=event.detail,
            run=None if run is None else RunDocument.of(run),
        )
