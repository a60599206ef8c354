"""Entries: jobs and runs while they are moved, read under a lock and written at once."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import Connection, Executable, RowMapping, Table, bindparam, select, update

from fleetjobs.errors import InvalidTransition
from fleetjobs.jobs import JobId, Kind, NodeId, Pending
from fleetjobs.messages import Stage
from fleetjobs.plans.detours import Kept
from fleetjobs.plans.progress import done
from fleetjobs.rollouts import Course
from fleetjobs.states import Reason, Rollback, State, Tally, Terms, WaitReason
from fleetjobs.store import dialect
from fleetjobs.store.jobs import read_course, read_tally
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.runs import runs

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
            reverts=self.reverts and self.kind is Kind.PLAN,
            undoing=self.undoing,
        )


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


def plans_of(connection: Connection, ids: Collection[JobId]) -> set[JobId]:
    """The plans that these jobs are parts of."""
    values = dialect.name_values(connection, ids)
    return set(connection.execute(_plans(sqlite=dialect.is_sqlite(connection)), values).scalars())


@cache
def _plans(*, sqlite: bool) -> Executable:
    table = dialect.names(sqlite=sqlite)
    query = select(jobs.c.plan).join_from(table, jobs, table.c.name == jobs.c.id)
    return query.where(jobs.c.plan.is_not(None)).distinct()


def lock_jobs(connection: Connection, ids: Collection[JobId]) -> dict[JobId, JobEntry]:
    """The jobs, locked until the transaction ends; always in the same order."""
    if not ids:
        return {}
    locking = _locking(sqlite=dialect.is_sqlite(connection))
    found = connection.execute(locking, dialect.name_values(connection, sorted(ids))).mappings()
    return {row["id"]: JobEntry(**{**row, **_read(row)}) for row in found}


def _read(row: RowMapping) -> dict[str, Any]:
    return {"tally": read_tally(row["tally"]), "rollout": read_course(row["rollout"])}


@cache  # as the others here: to build it costs more than to execute it
def _locking(*, sqlite: bool) -> Executable:
    names = select(dialect.names(sqlite=sqlite).c.name)
    query = select(*(jobs.c[name] for name in JOB_COLUMNS)).where(jobs.c.id.in_(names))
    return query.order_by(jobs.c.id).with_for_update()  # SQLite needs none: its writers queue


_COLUMNS = (
    *("job", "node", "org", "state", "wait_reason", "reason", "attempt", "tries", "generation"),
    *("pending", "pending_at", "attention", "stage", "queued_at", "dispatch_at", "expire_at"),
    *("not_before", "start_before", "turn", "percent", "lane", "slot_at", "step", "told_until"),
)
_NAMES = frozenset(_COLUMNS)


def read_runs(connection: Connection, names: list[RunName]) -> dict[RunName, RunEntry]:
    """The runs, under the locks of their jobs."""
    if not names:
        return {}
    query = _reading(sqlite=dialect.is_sqlite(connection))
    found: dict[RunName, RunEntry] = {}
    for row in connection.execute(query, dialect.pair_values(connection, names)):
        entry = RunEntry(**dict(zip(_COLUMNS, row, strict=True)))
        found[entry.job, entry.node] = entry
    return found


@cache
def _reading(*, sqlite: bool) -> Executable:
    wanted = dialect.pairs(sqlite=sqlite)
    return select(*(runs.c[name] for name in _COLUMNS)).join_from(
        wanted, runs, (runs.c.job == wanted.c.job) & (runs.c.node == wanted.c.node)
    )


def write_runs(connection: Connection, entries: Iterable[RunEntry]) -> None:
    """Write those that changed. Raises InvalidTransition."""
    rows = [
        entry.changes | {"_job": entry.job, "_node": entry.node, "_state": entry.found}
        for entry in entries
        if entry.changes
    ]
    update_alike(connection, runs, rows, ("job", "node"))


def update_alike(
    connection: Connection, table: Table, rows: list[dict[str, Any]], key: tuple[str, ...]
) -> None:
    """One statement for all rows that change the same columns."""
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        alike[tuple(sorted(row))].append(row)
    for same in alike.values():
        _update(connection, table, same, key)


def _update(
    connection: Connection, table: Table, rows: list[dict[str, Any]], key: tuple[str, ...]
) -> None:
    """Compare and set: a row that is no longer in the state it was read in stops everything."""
    columns = tuple(sorted(name for name in rows[0] if not name.startswith("_")))
    written = connection.execute(_setting(table, columns, key), rows).rowcount
    if written != len(rows):
        raise InvalidTransition(f"{len(rows) - written} {table.name} changed under a lock")


@lru_cache(maxsize=1000)
def _setting(table: Table, columns: tuple[str, ...], key: tuple[str, ...]) -> Executable:
    same = [table.c[name] == bindparam(f"_{name}") for name in (*key, "state")]
    return update(table).where(*same).values({name: bindparam(name) for name in columns})
