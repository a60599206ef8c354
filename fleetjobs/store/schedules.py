"""Schedules in the database: rules, how far they were followed, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import (
    Connection,
    Executable,
    RowMapping,
    Select,
    bindparam,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from fleetjobs.errors import Conflict, NotFound
from fleetjobs.names import JobId
from fleetjobs.schedules.documents import Schedule
from fleetjobs.schedules.due import Fate
from fleetjobs.states import Reason
from fleetjobs.store import dialect
from fleetjobs.store.pages import Page, read_time_cursor, time_cursor
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.schedules import occurrences, schedules


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A schedule, and how far it has been followed."""

    id: str  # UUIDv7
    org: str
    label: str
    owner: str  # the account in whose name its jobs are asked for
    document: Schedule
    shown: dict[str, Any]  # the document with secrets masked
    anchor: datetime  # where its rule begins to count
    seen_at: datetime  # occurrences up to then have their fates
    next_at: datetime | None  # None: none is awaited
    made: int = 0  # jobs
    skips: int = 0  # so many of the next occurrences are left out
    version: int = 1
    builtin: bool = False  # it came with the installation
    seed: int | None = None  # the version of the seed it was last made from; None: a person's own
    barred: bool = False  # the server's settings switch it off
    created_at: datetime
    ended_at: datetime | None = None  # deleted then


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """A moment of a schedule, and what became of it."""

    schedule: str
    at: datetime
    org: str
    fate: Fate
    reason: Reason | None = None
    job: JobId | None = None  # that it became, or that stands for it
    noted_at: datetime


_NAMES = tuple(field.name for field in fields(Entry))


def insert_entry(connection: Connection, entry: Entry) -> None:
    """Keep a new schedule. Raises Conflict if its label is taken in the org."""
    try:
        with connection.begin_nested():
            connection.execute(insert(schedules).values(_row(entry)))
    except IntegrityError:
        raise Conflict(
            f"there is a schedule {entry.label!r} in {entry.org} already;"
            " edit it, or take another label"
        ) from None


def save_entry(connection: Connection, entry: Entry) -> None:
    """Write a schedule that was read under its lock. Raises Conflict if its new label is taken."""
    try:
        with connection.begin_nested():
            connection.execute(
                update(schedules).where(schedules.c.id == entry.id).values(_row(entry))
            )
    except IntegrityError:
        raise Conflict(f"there is a schedule {entry.label!r} in {entry.org} already") from None


def advance_entries(connection: Connection, entries: Sequence[Entry]) -> None:
    """Write how far schedules, which were read under their locks, have been followed."""
    if entries:
        connection.execute(
            _ADVANCING,
            [
                {"entry": entry.id} | {name: getattr(entry, name) for name in _FOLLOWED}
                for entry in entries
            ],
        )


_FOLLOWED = ("seen_at", "next_at", "made", "skips")
_ADVANCING = (
    update(schedules)
    .where(schedules.c.id == bindparam("entry"))
    .values({name: bindparam(name) for name in _FOLLOWED})
)


def get_entry(connection: Connection, name: str, *, org: str | None, lock: bool = False) -> Entry:
    """The schedule of that label, or of that id even if it was deleted. Raises NotFound.

    `org` None: whosever it is, by id alone.
    """
    query = select(schedules).where(schedules.c.id == name)
    if org is not None:
        live = (schedules.c.label == name) & schedules.c.ended_at.is_(None)
        query = select(schedules).where((schedules.c.id == name) | live, schedules.c.org == org)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        raise NotFound(f"there is no schedule {name[:128]!r}")
    return _entry(row)


def builtin_entries(connection: Connection) -> list[Entry]:
    """All that came with the installation, deleted ones too, by label; locked."""
    query = select(schedules).where(schedules.c.builtin).order_by(schedules.c.label)
    return [_entry(row) for row in connection.execute(query.with_for_update()).mappings()]


def lock_entries(connection: Connection, org: str) -> list[Entry]:
    """The org's schedules that were not deleted, by label; locked."""
    live = (schedules.c.org == org) & schedules.c.ended_at.is_(None)
    query = select(schedules).where(live).order_by(schedules.c.label)
    return [_entry(row) for row in connection.execute(query.with_for_update()).mappings()]


def list_entries(
    connection: Connection,
    *,
    org: str | None,
    cursor: str | None = None,
    limit: int,
    ended: bool = False,
) -> Page[Entry]:
    """The org's schedules, the newest first; with the deleted ones if asked for."""
    query = select(schedules)
    if org is not None:
        query = query.where(schedules.c.org == org)
    if not ended:
        query = query.where(schedules.c.ended_at.is_(None))
    return _page(connection, query, cursor, limit)


def _page(
    connection: Connection, query: Select[Any], cursor: str | None, limit: int
) -> Page[Entry]:
    at, name = schedules.c.created_at, schedules.c.id
    if cursor is not None:
        before, last = read_time_cursor(cursor)
        query = query.where((at < before) | ((at == before) & (name < last)))
    query = query.order_by(at.desc(), name.desc()).limit(limit + 1)
    found = [_entry(row) for row in connection.execute(query).mappings()]
    rest = len(found) > limit
    items = found[:limit]
    return Page(items, time_cursor(items[-1].created_at, items[-1].id) if rest else None)


def due_entries(connection: Connection, now: datetime, limit: int) -> list[Entry]:
    """Schedules whose next occurrence has come, the longest due first, locked.

    Two coordinators that both believe they lead take different ones.
    """
    query = (
        select(schedules)
        .where(schedules.c.next_at <= now)
        .order_by(schedules.c.next_at, schedules.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_entry(row) for row in connection.execute(query).mappings()]


def next_due(connection: Connection) -> datetime | None:
    """When the next occurrence of any schedule comes."""
    query = select(schedules.c.next_at).where(schedules.c.next_at.is_not(None))
    return connection.execute(query.order_by(schedules.c.next_at).limit(1)).scalar()


def note_occurrences(connection: Connection, found: Sequence[Occurrence]) -> None:
    """Write what became of moments; one that has its fate keeps it."""
    if found:
        rows = [{name: getattr(item, name) for name in Occurrence.__slots__} for item in found]
        statement = dialect.insert(connection, occurrences).on_conflict_do_nothing()
        connection.execute(statement, rows)


def list_occurrences(
    connection: Connection, schedule: str, *, before: datetime | None = None, limit: int
) -> list[Occurrence]:
    """What became of the schedule's moments, the latest first, those before a moment if given."""
    query = select(occurrences).where(occurrences.c.schedule == schedule)
    if before is not None:
        query = query.where(occurrences.c.at < before)
    rows = connection.execute(query.order_by(occurrences.c.at.desc()).limit(limit)).mappings()
    return [Occurrence(**row) for row in rows]


def live_jobs(connection: Connection, schedule: str) -> list[JobId]:
    """The schedule's jobs that have not ended, the oldest first."""
    query = (
        select(jobs.c.id)
        .where(jobs.c.schedule == schedule, jobs.c.ended_at.is_(None))
        .order_by(jobs.c.created_at, jobs.c.occurrence, jobs.c.id)
    )
    return list(connection.execute(query).scalars())


def live_jobs_of(connection: Connection, names: Sequence[str]) -> dict[str, list[JobId]]:
    """The jobs of each of these schedules that have not ended, the oldest first."""
    found: dict[str, list[JobId]] = {name: [] for name in names}
    query = _live_of(sqlite=dialect.is_sqlite(connection))
    for schedule, job in connection.execute(query, dialect.name_values(connection, names)):
        found[schedule].append(job)
    return found


@cache
def _live_of(*, sqlite: bool) -> Executable:
    asked = dialect.names(sqlite=sqlite)
    return (
        select(jobs.c.schedule, jobs.c.id)
        .join(asked, jobs.c.schedule == asked.c.name)
        .where(jobs.c.schedule.is_not(None), jobs.c.ended_at.is_(None))
        .order_by(jobs.c.created_at, jobs.c.occurrence, jobs.c.id)
    )


def _row(entry: Entry) -> dict[str, Any]:
    row = {name: getattr(entry, name) for name in _NAMES}
    tells = bool(entry.document.notify)
    return row | {"document": msgspec.to_builtins(entry.document), "tells": tells}


def _entry(row: RowMapping) -> Entry:
    values = {name: row[name] for name in _NAMES}
    return Entry(**values | {"document": msgspec.convert(row["document"], Schedule)})
