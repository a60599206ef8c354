"""Entries: jobs and runs while they are moved, and what of them was changed."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fleetjobs.jobs import Kind, Pending
from fleetjobs.messages import Stage
from fleetjobs.names import JobId, NodeId
from fleetjobs.plans.detours import Kept
from fleetjobs.plans.progress import done
from fleetjobs.rollouts import Course
from fleetjobs.states import Reason, Rollback, State, Tally, Terms, WaitReason

COORDINATOR = "coordinator"  #: the actor of what follows from the runs by itself
RunName = tuple[JobId, NodeId]  #: names a run


@dataclass(slots=True, kw_only=True)
class RunEntry:
    """A run while it is being moved."""

    job: JobId
    node: NodeId
    org: str
    state: State
    wait_reason: WaitReason | None
    reason: Reason | None
    attempt: int
    tries: int
    generation: int
    pending: Pending | None
    pending_at: datetime | None
    attention: bool
    stage: Stage | None
    queued_at: datetime | None
    dispatch_at: datetime | None
    expire_at: datetime | None
    not_before: datetime | None
    start_before: datetime | None
    turn: int
    percent: float | None
    lane: str | None
    slot_at: datetime | None
    step: str | None
    told_until: datetime | None
    found: State = field(init=False)  # as it was read
    counted: bool = field(init=False)  # whether its job knows that it is blocked
    ended: bool = field(init=False)  # whether its end was judged
    weighed: float = field(init=False)  # how much of it its job takes for done
    changes: dict[str, Any] = field(default_factory=dict)  # column -> new value

    def __post_init__(self) -> None:
        self.found = self.state
        self.counted = self.is_idle
        self.ended = self.state.is_terminal
        self.weighed = self.part

    @property
    def part(self) -> float:
        """How much of it is done while it is at work, from 0 to 1."""
        is_none = self.state.is_terminal or self.step is not None  # of a detour nothing counts
        return 0.0 if is_none else (self.percent or 0.0) / 100

    @property
    def is_blocked(self) -> bool:
        """Whether something else has to end first."""
        return self.state is State.WAITING and self.wait_reason is WaitReason.DEPENDENCY

    @property
    def is_set_aside(self) -> bool:
        """Whether it has not begun and waits for a person to let it."""
        return self.state is State.PAUSED and self.reason in {Reason.HOLD, Reason.DENIED}

    @property
    def is_idle(self) -> bool:
        """Whether it waits for others to end, be it those of the batch before."""
        waits = {WaitReason.DEPENDENCY, WaitReason.ROLLOUT}
        return self.state is State.WAITING and self.wait_reason in waits

    @property
    def keeps_lane(self) -> bool:
        """Whether it is in line for a slot, or has one and may be at work, or about to be."""
        if self.state is State.WAITING and self.pending is None:
            handed = self.slot_at is not None and self.dispatch_at is not None
            in_line = self.slot_at is None and self.wait_reason is WaitReason.CONCURRENCY
            return in_line or (handed and self.wait_reason is WaitReason.OUTBOX)
        if self.state is State.PAUSED and self.pending is None:
            return self.slot_at is not None and self.reason is Reason.LOST
        return self.slot_at is not None and not self.state.is_terminal

    def is_due(self, by: datetime) -> bool:
        """Whether the dispatcher has something new to do for it until then."""
        delivery, order = self.changes.get("dispatch_at"), self.changes.get("order_at")
        return bool((delivery and delivery <= by) or (order and order <= by))

    def change(self, **values: Any) -> None:
        """Give its columns other values, and show them here at once."""
        for name in _NAMES.intersection(values):
            setattr(self, name, values[name])
        self.changes.update(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How a leg stands, as far as its parent knows."""

    state: State
    blocked: bool
    needing: int
    done: float  # from 0 to 1


@dataclass(slots=True, kw_only=True)
class JobEntry:
    """A job while its runs, or its legs, are being moved."""

    id: JobId
    org: str
    state: State
    wait_reason: WaitReason | None
    reason: Reason | None
    tally: Tally
    needing: int  # runs that need a person
    not_before: datetime | None
    start_before: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    version: int
    max_attempts: int
    retry_delay_s: float
    lost_after_s: float
    retry_lost: bool
    give_up_s: float | None
    edit: dict[str, Any] | None
    kind: Kind
    plan: JobId | None
    parent: JobId | None
    origin: JobId | None
    on_failure: str | None
    max_failures: int
    delay_s: float
    weight: float
    weights: float
    progress: float
    percent: float | None
    blocked: int
    forgiven: int
    called_off: bool
    partly: bool
    rollout: Course | None
    undoes: JobId | None
    detour: Kept
    reverts: bool
    undoing: State | None
    rollback: Rollback | None
    window_only: bool | None
    splay_s: float
    schedule: str | None
    found: State = field(init=False)  # as it was read
    told: Told = field(init=False)  # what its parent knows
    began_at: datetime | None = None  # the earliest start seen now
    last: Reason | None = None  # of the run that was moved last
    actor: str = COORDINATOR  # or the account that moved its runs
    waits: WaitReason | None = None  # of the run that was made to wait last
    changes: dict[str, Any] = field(default_factory=dict)  # column -> new value

    def __post_init__(self) -> None:
        self.found = self.state
        self.told = self.tell()

    def set(self, **columns: Any) -> None:
        """Give its columns other values, and show them here at once."""
        for name in _SHOWN.intersection(columns):
            setattr(self, name, columns[name])
        self.changes |= columns

    @property
    def is_undoing(self) -> bool:
        """Whether it is what takes a whole plan back: no part of what the plan has to do."""
        return self.kind is Kind.GROUP and self.undoes is not None

    @property
    def is_given_up(self) -> bool:
        """Whether it is a group of which just now too much has failed: its plan goes back."""
        return self.kind is Kind.GROUP and "reverts" in self.changes

    @property
    def root(self) -> JobId | None:
        """The plan that it is, or is a part of."""
        return self.id if self.kind is Kind.PLAN else self.plan

    @property
    def above(self) -> JobId | None:
        """The plan or group that counts it; what merely follows a job is counted by nobody."""
        return None if self.parent == self.origin else self.parent

    def tell(self) -> Told:
        """How it stands."""
        return Told(
            state=self.state,
            blocked=self.state is State.WAITING
            and self.wait_reason in {WaitReason.DEPENDENCY, WaitReason.ROLLOUT},
            needing=self.needing,
            done=self.done,
        )

    @property
    def done(self) -> float:
        """How much of it is done, from 0 to 1."""
        if self.kind is Kind.ACTION or self.state in {State.SUCCEEDED, State.SKIPPED}:
            return done(self.state, self.tally, self.progress)
        return self.progress / self.weights if self.weights else 0.0

    @property
    def terms(self) -> Terms:
        """What else says how it stands, beside its tally."""
        return Terms(
            tolerated=self.max_failures,
            forgiven=self.forgiven,
            blocked=self.blocked,
            called_off=self.called_off,
            begun=bool(self.started_at or self.began_at),
            acts=self.kind is Kind.ACTION,
            reverts=self.reverts and self.kind is Kind.PLAN,
            undoing=self.undoing,
        )


RUN_COLUMNS = (
    *("job", "node", "org", "state", "wait_reason", "reason", "attempt", "tries", "generation"),
    *("pending", "pending_at", "attention", "stage", "queued_at", "dispatch_at", "expire_at"),
    *("not_before", "start_before", "turn", "percent", "lane", "slot_at", "step", "told_until"),
)
_NAMES = frozenset(RUN_COLUMNS)

JOB_COLUMNS = (
    *("id", "org", "state", "wait_reason", "reason", "tally", "needing"),
    *("not_before", "start_before", "started_at", "ended_at", "version"),
    *("max_attempts", "retry_delay_s", "lost_after_s", "retry_lost", "give_up_s", "edit"),
    *("kind", "plan", "parent", "origin", "on_failure", "max_failures", "delay_s"),
    *("weight", "weights", "progress", "percent", "blocked", "forgiven", "called_off"),
    "partly",
    "rollout",
    *("undoes", "detour", "reverts", "undoing", "rollback", "window_only"),
    *("splay_s", "schedule"),
)

_SHOWN = frozenset(JOB_COLUMNS)


def patience_of(job: JobEntry) -> timedelta | None:
    """How long a silent node is waited for; a rollout does not wait longer than for its start.

    None: for ever.
    """
    waits = [job.give_up_s, None if job.rollout is None else job.rollout.reach_s]
    known = [seconds for seconds in waits if seconds is not None]
    return timedelta(seconds=min(known)) if known else None


def start_limit(job: JobEntry, run: RunEntry) -> datetime | None:
    """Until when the run may start; of a leg that was let go on, counted from then on."""
    return job.start_before or run.start_before
