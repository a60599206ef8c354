"""Run documents: a run, the attempts before it, and the events of both."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from fleetjobs.api.documents import document
from fleetjobs.api.progress import ProgressDocument
from fleetjobs.jobs import Attempt, Event, Pending, Run
from fleetjobs.states import Reason, State, WaitReason


class LogDocument(BaseModel):
    """What is known of one of a run's streams."""

    size: int = Field(description="bytes the run wrote")


class LogsDocument(BaseModel):
    """Both streams of a run."""

    stdout: LogDocument
    stderr: LogDocument

    @classmethod
    def of(cls, run: Run | Attempt) -> "LogsDocument":
        """What the run, or one try of it, wrote."""
        return cls.model_construct(
            stdout=LogDocument.model_construct(size=run.stdout_size),
            stderr=LogDocument.model_construct(size=run.stderr_size),
        )


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
        return document(
            cls,
            run,
            logs=LogsDocument.of(run),
            progress=ProgressDocument.of(run),
            give_up_at=run.expire_at if run.attention else None,
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
        return document(cls, attempt, logs=LogsDocument.of(attempt))


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
        ended = None if run is None else RunDocument.of(run)
        return document(cls, event, leg=leg, run=ended)
