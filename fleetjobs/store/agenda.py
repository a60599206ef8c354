"""Agenda: whether there is anything to do for a coordinator, in one question to the database."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BindParameter, Connection, Executable, bindparam, exists, func, select

from fleetjobs.nodes import TWIN_SHOWN
from fleetjobs.store.epochs import RIGHTS
from fleetjobs.store.leases import RELAY, STOP
from fleetjobs.store.losses import SILENCE_LEAST, is_at_work
from fleetjobs.store.questions import KEEP_QUESTIONS
from fleetjobs.store.schema.accounts import epochs
from fleetjobs.store.schema.fleet import questions, switches
from fleetjobs.store.schema.gates import limits, windows
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.nodes import nodes
from fleetjobs.store.schema.runs import IN_LINE, runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Errands:
    """What the dispatcher finds due."""

    deliveries: bool  # never while the relay is paused
    orders: bool
    questions: bool
    limited: bool  # some actions have limits, or had: there are runs in line
    gated: bool  # there are windows, or pauses of orgs or nodes
    next_at: datetime | None  # when more will be due, as far as is known now
    rights: int  # the epoch of what accounts may do


@dataclass(frozen=True, slots=True, kw_only=True)
class Chores:
    """What the reaper finds due."""

    overdue: bool
    silent: bool  # runs to be asked after
    lost: bool
    rested: bool  # rollouts whose next batch is due
    outdated: bool  # questions nobody waits for
    twins: bool  # nodes of which it is not logged yet that they have, or had, a twin


def look_for_errands(connection: Connection, now: datetime) -> Errands:
    """What there is for the dispatcher."""
    row = connection.execute(_ERRANDS, {"now": now}).one()
    moments = [moment for moment in (row.delivery_at, row.order_at) if moment is not None]
    return Errands(
        deliveries=bool(row.deliveries),
        orders=bool(row.orders),
        questions=bool(row.questions),
        limited=bool(row.limited),
        gated=bool(row.gated),
        next_at=min(moments, default=None),
        rights=row.rights,
    )


_NOW: BindParameter[datetime] = bindparam("now")
_ERRANDS = select(
    (exists().where(runs.c.dispatch_at <= _NOW) & ~exists().where(switches.c.name == RELAY)).label(
        "deliveries"
    ),
    exists().where(runs.c.order_at <= _NOW).label("orders"),
    exists().where(questions.c.sent_at.is_(None), questions.c.expires_at > _NOW).label("questions"),
    (
        (exists(select(limits.c.action)) | exists(select(runs.c.job).where(IN_LINE)))
        & ~exists().where(switches.c.name == RELAY)
    ).label("limited"),
    (exists(select(windows.c.name)) | exists().where(switches.c.name.not_in([RELAY, STOP]))).label(
        "gated"
    ),
    select(func.min(runs.c.dispatch_at))
    .where(runs.c.dispatch_at > _NOW)
    .scalar_subquery()
    .label("delivery_at"),
    select(func.min(runs.c.order_at))
    .where(runs.c.order_at > _NOW)
    .scalar_subquery()
    .label("order_at"),
    select(epochs.c.number).where(epochs.c.name == RIGHTS).scalar_subquery().label("rights"),
)


def look_for_chores(connection: Connection, now: datetime) -> Chores:
    """What there is for the reaper."""
    times = {"now": now, "silent_since": now - SILENCE_LEAST, "old": now - KEEP_QUESTIONS}
    times["twin_gone"] = now - TWIN_SHOWN
    return Chores(**_flags(connection, _CHORES, **times))


_OF_NODE = nodes.c.identity == runs.c.node
_CHORES = select(
    exists().where(runs.c.expire_at <= _NOW).label("overdue"),
    exists()
    .where(runs.c.ask_at <= _NOW, _OF_NODE, nodes.c.seen_at > runs.c.handed_at)
    .label("silent"),
    exists()
    .where(is_at_work(), _OF_NODE, nodes.c.seen_at < bindparam("silent_since"))
    .label("lost"),
    exists().where(jobs.c.rollout_at <= _NOW).label("rested"),
    exists().where(questions.c.expires_at <= bindparam("old")).label("outdated"),
    exists()
    .where(nodes.c.twin_at.is_not(None))
    .where(nodes.c.twin_told_at.is_(None) | (nodes.c.twin_at < bindparam("twin_gone")))
    .label("twins"),
)


def _flags(connection: Connection, query: Executable, **times: datetime) -> dict[str, bool]:
    row = connection.execute(query, times).mappings().one()
    return {key: bool(due) for key, due in row.items()}
