"""Notices in the database: who wishes to hear of what, and what is still to be told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, exists, insert, literal, select, tuple_, update
from uuid_utils.compat import uuid7

from fleetjobs.errors import NotFound
from fleetjobs.notices import Notice, Topic
from fleetjobs.store import dialect
from fleetjobs.store.bells import NOTICES
from fleetjobs.store.database import ring
from fleetjobs.store.pages import Page, read_time_cursor, time_cursor
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.notices import notices, wishes

FOR_ALL = ""  #: instead of a job's id: of all jobs of the org


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Somebody wishes to hear of a job, or of all jobs of an org."""

    id: str
    org: str
    job: str  # FOR_ALL: all of the org's that are no part of another
    topics: tuple[str, ...]
    sinks: tuple[str, ...]
    duration_s: float | None  # a job that takes longer is told of, once
    by: str
    created_at: datetime


def add_wish(connection: Connection, wish: Wish) -> None:
    """Keep a wish."""
    values = {field.name: getattr(wish, field.name) for field in fields(Wish)}
    connection.execute(
        insert(wishes).values(values | {"topics": list(wish.topics), "sinks": list(wish.sinks)})
    )


def list_wishes(connection: Connection, *, org: str, job: str | None = None) -> list[Wish]:
    """The org's wishes, the newest first; of that job alone if one is given."""
    query = select(wishes).where(wishes.c.org == org).order_by(wishes.c.created_at.desc())
    if job is not None:
        query = query.where(wishes.c.job == job)
    return [_wish(row) for row in connection.execute(query.limit(1000)).mappings()]


def drop_wish(connection: Connection, name: str, *, org: str) -> Wish:
    """Forget a wish; gives it as it was. Raises NotFound."""
    gone = delete(wishes).where(wishes.c.id == name, wishes.c.org == org).returning(wishes)
    row = connection.execute(gone).mappings().first()
    if row is None:
        raise NotFound(f"there is no wish {name[:60]!r}")
    return _wish(row)


def wishes_of(connection: Connection, ids: Sequence[str], orgs: Sequence[str]) -> list[Wish]:
    """Those that concern these jobs of these orgs."""
    query = select(wishes).where(
        wishes.c.job.in_(ids) | ((wishes.c.job == FOR_ALL) & wishes.c.org.in_(orgs))
    )
    return [_wish(row) for row in connection.execute(query).mappings()]


def _wish(row: Mapping[Any, Any]) -> Wish:
    values = {field.name: row[field.name] for field in fields(Wish)}
    return Wish(**values | {"topics": tuple(row["topics"]), "sinks": tuple(row["sinks"])})


def make_notice(
    *,
    org: str | None,
    topic: Topic,
    sink: str,
    document: dict[str, Any],
    now: datetime,
    job: str | None = None,
    schedule: str | None = None,
    wish: str | None = None,
    id: str | None = None,  # noqa: A002  as in every document
) -> Notice:
    """A notice that is to be told now; of an id of its own unless one is given."""
    name = str(uuid7()) if id is None else id
    return Notice(
        id=name,
        org=org,
        topic=topic,
        sink=sink,
        job=job,
        schedule=schedule,
        wish=wish,
        document={"id": name, "topic": topic, "org": org, "at": now.isoformat(), **document},
        created_at=now,
        due_at=now,
    )


def add_notices(connection: Connection, found: Sequence[Notice]) -> None:
    """Have them told once this transaction is committed; one whose id is known is there already."""
    if found:
        rows = [{name: getattr(notice, name) for name in _NAMES} for notice in found]
        connection.execute(dialect.insert(connection, notices).on_conflict_do_nothing(), rows)
        ring(connection, NOTICES)


_NAMES = tuple(field.name for field in fields(Notice))


def due_notices(connection: Connection, now: datetime, limit: int) -> list[Notice]:
    """Those to be told now, the longest due first."""
    query = select(notices).where(notices.c.due_at <= now).order_by(notices.c.due_at).limit(limit)
    return [_notice(row) for row in connection.execute(query).mappings()]


def next_notice(connection: Connection) -> datetime | None:
    """When the next one is to be told."""
    query = select(notices.c.due_at).where(notices.c.due_at.is_not(None))
    return connection.execute(query.order_by(notices.c.due_at).limit(1)).scalar()


def mark_told(connection: Connection, name: str, now: datetime) -> None:
    """It was sent."""
    values = {"due_at": None, "sent_at": now, "error": "", "tries": notices.c.tries + 1}
    connection.execute(update(notices).where(notices.c.id == name).values(values))


def mark_untold(connection: Connection, name: str, error: str, due_at: datetime | None) -> None:
    """It could not be sent; tried again then, or given up."""
    values = {"due_at": due_at, "error": error[:500], "tries": notices.c.tries + 1}
    connection.execute(update(notices).where(notices.c.id == name).values(values))


def retry_notice(connection: Connection, name: str, now: datetime, *, org: str | None) -> Notice:
    """Send it again, now, whatever became of it; `org` None: whosever it is. Raises NotFound."""
    mine = [notices.c.id == name, *([] if org is None else [notices.c.org == org])]
    connection.execute(update(notices).where(*mine).values(due_at=now, tries=0))
    row = connection.execute(select(notices).where(*mine)).mappings().first()
    if row is None:
        raise NotFound(f"there is no notification {name[:60]!r}")
    ring(connection, NOTICES)
    return _notice(row)


def list_notices(
    connection: Connection,
    *,
    org: str | None,
    state: str | None = None,
    cursor: str | None = None,
    limit: int,
) -> Page[Notice]:
    """The org's, the newest first; only those that are waiting, sent or failed if asked for.

    `org` None: everybody's, and those to whoever runs the fleet.
    """
    query = select(notices)
    if org is not None:
        query = query.where(notices.c.org == org)
    if state is not None:
        ended = notices.c.due_at.is_(None)
        sent = notices.c.sent_at.is_not(None)
        query = query.where(
            {"waiting": ~ended, "sent": ended & sent, "failed": ended & ~sent}[state]
        )
    place = (notices.c.created_at, notices.c.id)
    if cursor is not None:
        at, name = read_time_cursor(cursor)
        there = tuple_(literal(at, notices.c.created_at.type), literal(name))
        query = query.where(tuple_(*place) < there)
    query = query.order_by(*(column.desc() for column in place)).limit(limit + 1)
    found = [_notice(row) for row in connection.execute(query).mappings()]
    items = found[:limit]
    more = len(found) > limit
    return Page(items, time_cursor(items[-1].created_at, items[-1].id) if more else None)


def _notice(row: Mapping[Any, Any]) -> Notice:
    return Notice(**{name: row[name] for name in _NAMES} | {"topic": Topic(row["topic"])})


def forget_notices(connection: Connection, before: datetime) -> int:
    """Drop those that were sent or given up by then, and wishes of jobs that are gone; how many."""
    old = (notices.c.due_at.is_(None), notices.c.created_at < before)
    done = connection.execute(delete(notices).where(*old)).rowcount
    gone = wishes.c.job.not_in(select(jobs.c.id)) & (wishes.c.job != FOR_ALL)
    connection.execute(delete(wishes).where(gone, wishes.c.created_at < before))
    return done


def overlong_jobs(connection: Connection, now: datetime, limit: int) -> list[tuple[str, str]]:
    """So many wishes at most, each with a job that takes longer than it says, not told of yet."""
    told = exists().where(notices.c.job == jobs.c.id, notices.c.wish == wishes.c.id)
    over = (
        wishes.c.duration_s.is_not(None),
        jobs.c.org == wishes.c.org,
        jobs.c.ended_at.is_(None),
        jobs.c.started_at.is_not(None),
        dialect.seconds_since(connection, jobs.c.started_at, now) >= wishes.c.duration_s,
        ~told,
    )
    pair = select(wishes.c.id.label("wish"), jobs.c.id.label("job"))
    # apart, so that the database finds the job of a wish by its id
    of_one = pair.where(wishes.c.job == jobs.c.id, *over).limit(limit).subquery()
    of_all = pair.where(wishes.c.job == FOR_ALL, jobs.c.parent.is_(None), *over).limit(limit)
    query = select(of_one).union_all(select(of_all.subquery())).limit(limit)
    return [(wish, job) for wish, job in connection.execute(query)]
