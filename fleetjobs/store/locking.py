"""Locking: entries read under a lock, and written at once."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import Connection, Executable, Table, Update, bindparam, select, update

from fleetjobs.errors import InvalidTransition
from fleetjobs.names import JobId
from fleetjobs.store import dialect
from fleetjobs.store.bulk import write_rows
from fleetjobs.store.entries import JOB_COLUMNS, RUN_COLUMNS, JobEntry, RunEntry, RunName
from fleetjobs.store.jobs import read_course, read_tally
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.runs import runs


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
    found = connection.execute(locking, dialect.name_values(connection, sorted(ids)))
    entries = [_read(dict(zip(JOB_COLUMNS, row, strict=True))) for row in found]
    return {entry.id: entry for entry in entries}


def _read(row: dict[str, Any]) -> JobEntry:
    row["tally"] = read_tally(row["tally"])
    row["rollout"] = read_course(row["rollout"])
    return JobEntry(**row)


@cache  # as the others here: to build it costs more than to execute it
def _locking(*, sqlite: bool) -> Executable:
    names = select(dialect.names(sqlite=sqlite).c.name)
    query = select(*(jobs.c[name] for name in JOB_COLUMNS)).where(jobs.c.id.in_(names))
    return query.order_by(jobs.c.id).with_for_update()  # SQLite needs none: its writers queue


def read_runs(connection: Connection, names: list[RunName]) -> dict[RunName, RunEntry]:
    """The runs, under the locks of their jobs."""
    if not names:
        return {}
    query = _reading(sqlite=dialect.is_sqlite(connection))
    found: dict[RunName, RunEntry] = {}
    for row in connection.execute(query, dialect.pair_values(connection, names)):
        entry = RunEntry(**dict(zip(RUN_COLUMNS, row, strict=True)))
        found[entry.job, entry.node] = entry
    return found


@cache
def _reading(*, sqlite: bool) -> Executable:
    wanted = dialect.pairs(sqlite=sqlite)
    return select(*(runs.c[name] for name in RUN_COLUMNS)).join_from(
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
    written = write_rows(connection, _setting(table, columns, key), rows)
    if written != len(rows):
        raise InvalidTransition(f"{len(rows) - written} {table.name} changed under a lock")


@lru_cache(maxsize=1000)
def _setting(table: Table, columns: tuple[str, ...], key: tuple[str, ...]) -> Update:
    same = [table.c[name] == bindparam(f"_{name}") for name in (*key, "state")]
    return update(table).where(*same).values({name: bindparam(name) for name in columns})
