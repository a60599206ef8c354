"""Telling: moves of jobs become notices, in the transaction that moves them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Connection, Executable, RowMapping, exists, or_, select

from fleetjobs.notices import Notice, Topic, topic_of
from fleetjobs.store import dialect
from fleetjobs.store.notices import (
    FOR_ALL,
    Wish,
    add_notices,
    make_notice,
    wishes_of,
)
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.notices import outcomes, wishes
from fleetjobs.store.schema.schedules import schedules

_ENDS = {Topic.SUCCESS: "ok", Topic.FAILURE: "failed"}
_SHOWN = ("caller", "state", "reason", "started_at", "ended_at", "occurrence")


def tell_moves(connection: Connection, moved: Iterable[Mapping[str, Any]], now: datetime) -> None:
    """What these rows of the log mean to those who wish to hear; the jobs are written already."""
    told: dict[str, set[Topic]] = {}
    for move in moved:
        topic = topic_of(move["kind"], move["new"], move["reason"])
        if topic is not None and move["job"] is not None:
            told.setdefault(move["job"], set()).add(topic)
    found = _heard_of(connection, sorted(told))
    if not found:
        return
    every = wishes_of(connection, [row["id"] for row in found], [row["org"] for row in found])
    made: list[Notice] = []
    for row in found:
        for topic in sorted(told[row["id"]]):
            made += _wished(row, topic, every, now)
            made += _flipped(connection, row, topic, now)
    add_notices(connection, made)


def tell_overlong(connection: Connection, over: Sequence[tuple[str, str]], now: datetime) -> None:
    """Tell of these jobs that they take longer than their wishes say; told before is told once."""
    ids = sorted({job for _, job in over})
    found = {row["id"]: row for row in _heard_of(connection, ids)}
    every = wishes_of(connection, ids, [row["org"] for row in found.values()])
    by_id = {wish.id: wish for wish in every}
    made = [
        make_notice(
            id=str(uuid5(UUID(name), f"{job} {sink}")),
            org=by_id[name].org,
            topic=Topic.DURATION,
            sink=sink,
            document=_document(found[job]) | {"expected_s": by_id[name].duration_s},
            now=now,
            job=job,
            wish=name,
        )
        for name, job in over
        if job in found and name in by_id
        for sink in by_id[name].sinks
    ]
    add_notices(connection, made)


def _heard_of(connection: Connection, ids: Sequence[str]) -> list[RowMapping]:
    """Those of the jobs that anybody listens to; in the order of their schedules."""
    if not ids:
        return []
    query = _listening(sqlite=dialect.is_sqlite(connection))
    return list(connection.execute(query, dialect.name_values(connection, ids)).mappings())


@cache
def _listening(*, sqlite: bool) -> Executable:
    asked = dialect.names(sqlite=sqlite)
    mine = exists().where(wishes.c.job == jobs.c.id)
    of_all = exists().where(wishes.c.job == FOR_ALL, wishes.c.org == jobs.c.org)
    names = ("id", "org", "agent", "action", "parent", "schedule", *_SHOWN)
    columns = [*(jobs.c[name] for name in names), schedules.c.label]
    return (
        select(*columns, schedules.c.document, schedules.c.tells)
        .join(asked, jobs.c.id == asked.c.name)
        .outerjoin(schedules, schedules.c.id == jobs.c.schedule)
        .where(or_(mine, of_all, schedules.c.tells))
        .order_by(jobs.c.schedule, jobs.c.occurrence, jobs.c.id)
    )


def _wished(row: RowMapping, topic: Topic, every: Sequence[Wish], now: datetime) -> list[Notice]:
    return [
        make_notice(
            org=row["org"], topic=topic, sink=sink, document=_document(row), now=now, job=row["id"]
        )
        for wish in every
        if wish.org == row["org"] and topic in wish.topics
        if wish.job == row["id"] or (wish.job == FOR_ALL and row["parent"] is None)
        for sink in wish.sinks
    ]


def _flipped(connection: Connection, row: RowMapping, topic: Topic, now: datetime) -> list[Notice]:
    """What is told of the job's schedule if its outcome is another than before."""
    outcome = _ENDS.get(topic)
    if outcome is None or not row["tells"] or not _flip(connection, row["schedule"], outcome, now):
        return []
    flip = Topic.RECOVERED if outcome == "ok" else Topic.FAILING
    return [
        make_notice(
            id=str(uuid5(UUID(row["id"]), f"{flip} {sink}")),
            org=row["org"],
            topic=flip,
            sink=sink,
            document=_document(row),
            now=now,
            job=row["id"],
            schedule=row["schedule"],
        )
        for sink in row["document"].get("notify", ())
    ]


def _flip(connection: Connection, schedule: str, outcome: str, now: datetime) -> bool:
    """Write how its last job ended; whether that is news. That the first one is well is none.

    A table of its own, whose row is locked last: who makes occurrences holds their schedules, who
    counts replies holds their jobs, and neither waits for the other.
    """
    flips = int(outcome == "failed")
    statement = dialect.insert(connection, outcomes).values(
        schedule=schedule, outcome=outcome, flips=flips, at=now
    )
    changed = statement.on_conflict_do_update(
        index_elements=[outcomes.c.schedule],
        set_={"outcome": outcome, "at": now, "flips": outcomes.c.flips + 1},
        where=outcomes.c.outcome != outcome,
    ).returning(outcomes.c.flips)
    found = connection.execute(changed).scalar()
    return bool(found)


def _document(row: RowMapping) -> dict[str, Any]:
    """What is told of a job: no inputs and no outputs, which may hold secrets."""
    found = {name: row[name] for name in _SHOWN}
    times = {
        name: value.isoformat() for name, value in found.items() if isinstance(value, datetime)
    }
    return {
        "job": row["id"],
        "action": f"{row['agent']}.{row['action']}",
        **found,
        **times,
        "schedule": row["label"],
    }
