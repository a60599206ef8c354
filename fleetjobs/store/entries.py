"""Entries: jobs and runs while they are moved, read under a lock and written at once."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import Connection, Executable, Table, bindparam, select, update

from fleetjobs.errors import InvalidTransition
from fleetjobs.jobs import JobId, NodeId, Pending
from fleetjobs.messages import Stage
from fleetjobs.states import Reason, State, Tally, WaitReason
from fleetjobs.store import dialect
from fleetjobs.store.jobs import read_tally
from fleetjobs.store.schema import jobs, runs

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
    found: State = field(init=False)  # as it was read
    needed: bool = field(init=False)
    changes: dict[str, Any] = field(default_factory=dict)  # column -> new value

    def __post_init__(self) -> None:
        self.found = self.state
        self.needed = self.attention

    def is_due(self, now: datetime) -> bool:
        """Whether the dispatcher has something new to do for it."""
        delivery, order = self.changes.get("dispatch_at"), self.changes.get("order_at")
        return bool((delivery and delivery <= now) or (order and order <= now))

    def change(self, **values: Any) -> None:
        """Give its columns other values, and show them here at once."""
        for name in _NAMES.intersection(values):
            setattr(self, name, values[name])
        self.changes.update(values)


@dataclass(slots=True, kw_only=True)
class JobEntry:
    """A job while its runs are being moved."""

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
    began_at: datetime | None = None  # the earliest start seen now
    last: Reason | None = None  # of the run that was moved last
    actor: str = COORDINATOR  # or the account that moved its runs
    waits: WaitReason | None = None  # of the run that was made to wait last
    changes: dict[str, Any] = field(default_factory=dict)  # column -> new value


JOB_COLUMNS = (
    *("id", "org", "state", "wait_reason", "reason", "tally", "needing"),
    *("not_before", "start_before", "started_at", "ended_at", "version"),
    *("max_attempts", "retry_delay_s", "lost_after_s", "retry_lost", "give_up_s", "edit"),
)


def lock_jobs(connection: Connection, ids: set[JobId]) -> dict[JobId, JobEntry]:
    """The jobs, locked until the transaction ends; always in the same order."""
    if not ids:
        return {}
    found = connection.execute(_LOCKING, {"ids": sorted(ids)}).mappings()
    return {row["id"]: JobEntry(**{**row, "tally": read_tally(row["tally"])}) for row in found}


_LOCKING = (  # built once, as the others here: to build it costs more than to execute it
    select(*(jobs.c[name] for name in JOB_COLUMNS))
    .where(jobs.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(jobs.c.id)
    .with_for_update()  # SQLite needs none: its writers come one at a time
)


_COLUMNS = (
    *("job", "node", "org", "state", "wait_reason", "reason", "attempt", "tries", "generation"),
    *("pending", "pending_at", "attention", "stage", "queued_at", "dispatch_at", "expire_at"),
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
