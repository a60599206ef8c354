"""Agenda: whether there is anything to do for a coordinator, in one question to the database."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Executable, exists, select

from fleetjobs.store.leases import RELAY
from fleetjobs.store.losses import SILENCE_LEAST, is_at_work
from fleetjobs.store.questions import KEEP_QUESTIONS
from fleetjobs.store.schema import nodes, questions, runs, switches


@dataclass(frozen=True, slots=True, kw_only=True)
class Errands:
    """What the dispatcher finds due."""

    deliveries: bool  # never while the relay is paused
    orders: bool
    questions: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Chores:
    """What the reaper finds due."""

    overdue: bool
    silent: bool  # runs to be asked after
    lost: bool
    outdated: bool  # questions nobody waits for


def look_for_errands(connection: Connection, now: datetime) -> Errands:
    """What there is for the dispatcher."""
    paused = exists().where(switches.c.name == RELAY)
    query = select(
        (exists().where(runs.c.dispatch_at <= now) & ~paused).label("deliveries"),
        exists().where(runs.c.order_at <= now).label("orders"),
        exists()
        .where(questions.c.sent_at.is_(None), questions.c.expires_at > now)
        .label("questions"),
    )
    return Errands(**_flags(connection, query))


def look_for_chores(connection: Connection, now: datetime) -> Chores:
    """What there is for the reaper."""
    of_node = nodes.c.identity == runs.c.node
    query = select(
        exists().where(runs.c.expire_at <= now).label("overdue"),
        exists()
        .where(runs.c.ask_at <= now, of_node, nodes.c.seen_at > runs.c.handed_at)
        .label("silent"),
        exists().where(is_at_work(), of_node, nodes.c.seen_at < now - SILENCE_LEAST).label("lost"),
        exists().where(questions.c.expires_at <= now - KEEP_QUESTIONS).label("outdated"),
    )
    return Chores(**_flags(connection, query))


def _flags(connection: Connection, query: Executable) -> dict[str, bool]:
    return {key: bool(due) for key, due in connection.execute(query).mappings().one().items()}
