"""Legs: the parts of plans as documents, kept or merely thought of."""

from datetime import datetime
from typing import Any

import msgspec
from pydantic import BaseModel, Field

from fleetjobs.api.documents import document
from fleetjobs.control.drafts import Draft
from fleetjobs.jobs import Job, Kind, Link
from fleetjobs.plans.documents import Pace
from fleetjobs.states import Completion, Reason, StartIf, State, WaitReason


class NeedDocument(BaseModel):
    """A leg or a group that has to end first, and how."""

    leg: str = Field(description="its key")
    job: str = Field(description="its id")
    when: StartIf
    pace: Pace = Field(description="node: each node for itself, where both have it")

    @classmethod
    def of(cls, link: Link) -> "NeedDocument":
        """The link as a document."""
        pace = Pace.BARRIER if link.barrier else Pace.NODE
        return cls.model_construct(leg=link.leg, job=link.job, when=link.when, pace=pace)


class LegDocument(BaseModel):
    """A leg or a group of a plan, and how it stands."""

    id: str = Field(description="of the job that it is")
    key: str = Field(description="its name in the plan")
    kind: Kind
    group: str | None = Field(description="the key of the group that it is in")
    position: int = Field(description="its place in the plan")
    agent: str
    action: str
    target: dict[str, Any] = Field(description="which nodes were meant; only what was given")
    state: State
    wait_reason: WaitReason | None
    reason: Reason | None
    completion: Completion | None
    attention: bool = Field(description="a person has to decide")
    needs: list[NeedDocument] = Field(description="what has to end first")
    nodes: int = Field(description="how many runs it has; of a group 0")
    tally: dict[str, int] = Field(description="how many of its runs, or legs, are in which state")
    on_failure: str | None
    max_failures: int = Field(description="so many of its runs, or legs, may fail")
    weight: float = Field(description="its share of the plan's percentage")
    percent_complete: float | None
    undoes: str | None = Field(description="the job that it takes back")
    origin: str | None = Field(description="the job whose action asked for it")
    started_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, job: Job, *, group: str | None) -> "LegDocument":
        """The leg as a document."""
        return document(
            cls,
            job,
            key=job.leg,
            group=group,
            target=msgspec.to_builtins(job.target),
            needs=[NeedDocument.of(link) for link in job.needs],
            nodes=job.tally.total() if job.kind is Kind.ACTION else 0,
            tally={state.value: count for state, count in sorted(job.tally.items()) if count},
            percent_complete=job.percent,
        )


class CheckedLeg(BaseModel):
    """A leg or a group as it would be."""

    id: str
    key: str
    kind: Kind
    group: str | None
    agent: str
    action: str
    data: dict[str, Any] = Field(description="the inputs; secrets are masked")
    needs: list[NeedDocument]
    nodes: list[str] = Field(description="where it would run, by name")
    on_failure: str | None
    max_failures: int
    max_attempts: int = Field(description="how often a run would be tried")


class PlanCheck(BaseModel):
    """What a plan would be."""

    legs: list[CheckedLeg]
    warnings: list[str] = Field(description="what stands in its way")


def checked(draft: Draft) -> list[CheckedLeg]:
    """All groups and legs of a plan that was drawn up, in their order."""
    keys = {part.job.id: part.job.leg for part in draft.parts}
    return [
        CheckedLeg.model_construct(
            id=part.job.id,
            key=part.job.leg,
            kind=part.job.kind,
            group=keys[part.job.parent or part.job.id] if part.job.parent else None,
            agent=part.job.agent,
            action=part.job.action,
            data=part.job.data,
            needs=[NeedDocument.of(link) for link in part.job.needs],
            nodes=list(part.nodes),
            on_failure=part.job.on_failure,
            max_failures=part.job.max_failures,
            max_attempts=part.job.max_attempts,
        )
        for part in draft.parts[1:]
    ]
