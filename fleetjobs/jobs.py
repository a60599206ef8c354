"""Jobs and runs: what is known of each."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from fleetjobs.names import JobId, NodeId
from fleetjobs.rollouts import Course
from fleetjobs.states import Completion, Reason, Rollback, StartIf, State, Tally, WaitReason
from fleetjobs.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A leg or group that has to end first, and how, as a plan says it."""

    job: JobId
    leg: str  # its key
    when: StartIf
    barrier: bool  # all nodes for all, rather than each for itself


class Kind(StrEnum):
    """What a job is."""

    ACTION = "action"  # it has runs
    PLAN = "plan"  # it has legs, and groups of them
    GROUP = "group"  # legs of a plan that others wait for together


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One accepted request, and how it stands."""

    id: JobId
    org: str
    caller: str
    agent: str
    action: str
    data: dict[str, Any]  # secrets masked; the sealed request alone has them
    target: Target
    sealed: str  # the request as the caller signed it
    state: State
    wait_reason: WaitReason | None
    tally: Tally  # of its runs
    created_at: datetime
    not_before: datetime | None
    start_before: datetime | None  # None: whenever the node comes back
    started_at: datetime | None = None  # when the first of its runs started
    ended_at: datetime | None = None
    reason: Reason | None = None
    completion: Completion | None = None  # None while live
    attention: bool = False
    version: int = 1  # grows with each change a caller makes
    rerun_of: JobId | None = None
    max_attempts: int = 1  # of each run; the first counts
    retry_delay_s: float = 30.0
    lost_after_s: float = 60.0  # of a node's silence
    retry_lost: bool = False  # a lost attempt is repeated rather than shown to a person
    give_up_s: float | None = 86400.0  # after its node was lost; None: never
    inline: bool = False  # nodes act on it within their workers, and may be asked again
    kind: Kind = Kind.ACTION
    plan: JobId | None = None  # that it is a part of, or the first job it follows, however deep
    parent: JobId | None = None  # the plan or group that it is a part of, or else its origin
    origin: JobId | None = None  # the job whose action asked for it, by the `next` of its reply
    leg: str | None = None  # its key in the plan
    position: int = 0  # in the plan
    needs: tuple[Link, ...] = ()  # the legs and groups that it waits, or waited, for
    fills: dict[str, JobId] | None = None  # reference -> the leg whose answer it means
    on_failure: str | None = None
    max_failures: int = 0  # so many of its runs or legs may end badly
    delay_s: float = 0.0  # from when it could start
    weight: float = 1.0  # in its parent's percentage
    weights: float = 0.0  # of all its legs
    progress: float = 0.0  # how much of that is done; of an action, in runs that are at work
    percent: float | None = None  # of it that is done; None before it has begun
    blocked: int = 0  # runs or legs that wait for something to end
    called_off: bool = False  # a person cancelled the whole of it
    rollout: Course | None = None  # how far it has come, if it goes batch after batch
    undoes: JobId | None = None  # the leg that it takes back; of a group, the plan
    undo: dict[str, Any] | None = None  # what would take it back; None: nothing can
    detour: list[dict[str, Any]] | None = None  # before another try; None: nothing
    leg_summary: dict[str, int] | None = None  # of legs that were forgotten: total, succeeded
    rollback: Rollback | None = None  # None: nothing was taken back, or not yet
    rollback_percent: float | None = None  # of what is taken back
    irreversible: tuple[str, ...] = ()  # the legs that stay done, for nothing takes them back
    schedule: str | None = None  # the id of the schedule that made it
    occurrence: int | None = None  # of that schedule, from 1 on
    window_only: bool | None = None  # None: what windows there are hold; False: none does
    splay_s: float = 0.0  # its nodes begin spread over so long
    priority: int = 0  # among those of its org that wait for a slot; the higher goes first
    missed_count: int = 0  # occurrences it stands for that did not start at their time
    template: str | None = None  # the id of the one it was made from
    template_version: int | None = None


class Pending(StrEnum):
    """What a node was told of a run and has not confirmed."""

    CANCEL = "cancel"
    EDIT = "edit"
    HOLD = "hold"
    DENY = "deny"  # give it back: its caller may no longer run it


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A job on one node, and its latest attempt."""

    job: JobId
    node: NodeId
    state: State
    wait_reason: WaitReason | None
    reason: Reason | None
    attempt: int  # 1 is the first
    statuscode: int | None  # None until it replied
    statusmsg: str
    data: dict[str, Any]
    exit_code: int | None
    stdout_size: int  # bytes
    stderr_size: int
    queued_at: datetime | None
    started_at: datetime | None  # by the node's clock
    ended_at: datetime | None  # by the node's clock
    generation: int = 0  # of the coordinator's mind about this attempt
    pending: Pending | None = None  # an order is on its way; None: the node knows all of it
    pending_at: datetime | None = None
    tries: int = 1  # attempts that count; one that asked for a delay does not
    next_attempt_at: datetime | None = None
    attention: bool = False  # a person has to decide
    blocked_by: JobId | None = None  # the job that holds the slot it waits for
    opens_at: datetime | None = None  # the next opening of the window that it waits for
    expire_at: datetime | None = None  # then it is too late to start, or its node is given up
    percent: float | None = None  # of this attempt that is done, as its program told last
    doing: str = ""  # what it told beside that
    step: str | None = None  # of a detour, that the attempt is: undo:KEY or redo:KEY


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a run that is over; `late` if its end came after we had given it up."""

    job: JobId
    node: NodeId
    attempt: int
    state: State
    reason: Reason | None
    statuscode: int | None
    statusmsg: str
    data: dict[str, Any]
    exit_code: int | None
    stdout_size: int  # bytes
    stderr_size: int
    started_at: datetime | None  # by the node's clock
    ended_at: datetime | None  # by the node's clock
    late: bool = False
    step: str | None = None  # as of runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """Another job, or one of its runs, that has to end first."""

    job: JobId  # that waits
    node: NodeId | None = None  # whose run waits; None: all of them
    on_job: JobId
    on_node: NodeId | None  # None: the whole job
    when: StartIf
    met: bool  # it has ended, and so


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of the append-only log: when, who, from, to, why."""

    seq: int  # grows; within one job in the order of commits
    at: datetime
    org: str | None
    job: JobId | None
    node: NodeId | None
    kind: str  # job.<state>, run.<state>, node.refused, reply.rejected, coordinator.started, …
    actor: str  # account:<name>, node:<identity>, coordinator, server
    old: State | None
    new: State | None
    reason: str | None
    detail: dict[str, Any]
