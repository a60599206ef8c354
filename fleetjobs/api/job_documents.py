"""Job documents: a job, with its rollout and what it waits for."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import msgspec
from pydantic import BaseModel, Field

from fleetjobs.api.documents import document
from fleetjobs.jobs import Dependency, Job, Kind, Pending
from fleetjobs.rollouts import Phase
from fleetjobs.states import Completion, Reason, Rollback, StartIf, State, WaitReason

EMPTY: Mapping[Pending, int] = MappingProxyType({})


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
    why: str = Field(description="of what ended without runs: that reason in words; else empty")
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
        is_action = job.kind is Kind.ACTION
        return document(
            cls,
            job,
            target=msgspec.to_builtins(job.target),
            nodes=job.tally.total() if is_action else 0,
            tally={state.value: count for state, count in sorted(job.tally.items()) if count},
            template_label=None,
            after=[AfterDocument.of(item) for item in after],
            pending=dict(pending),
            confirmed=not pending,
            children=None,
            parts=0 if is_action else job.tally.total(),
            elaborated=job.percent is not None,
            percent_complete=job.percent,
            rollout=RolloutDocument.of(job),
            not_reversible=list(job.irreversible),
            warnings=[],
            why="",
        )
