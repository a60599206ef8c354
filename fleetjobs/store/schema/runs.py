"""Runs: jobs on single nodes, with the attempts before the latest."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    false,
    text,
)

from fleetjobs.jobs import Pending
from fleetjobs.messages import Stage
from fleetjobs.states import Reason, State, WaitReason
from fleetjobs.store.columns import Moment, Word
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.metadata import metadata, one_of, where

runs = Table(
    "runs",
    metadata,
    Column("job", ForeignKey(jobs.c.id, ondelete="CASCADE"), primary_key=True),
    Column("node", String, primary_key=True),
    Column("org", String, nullable=False),
    Column("state", Word(State), nullable=False),
    Column("wait_reason", Word(WaitReason)),
    Column("reason", Word(Reason)),
    Column("attempt", Integer, nullable=False),
    Column("stage", Word(Stage)),  # the furthest the node told of this attempt
    Column("statuscode", Integer),
    Column("statusmsg", String, nullable=False),
    Column("data", JSON, nullable=False),
    Column("exit_code", Integer),
    Column("stdout_size", BigInteger, nullable=False),
    Column("stderr_size", BigInteger, nullable=False),
    Column("queued_at", Moment),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Column("handed_at", Moment),  # when it was last given to the broker
    Column("generation", Integer, nullable=False, server_default="0"),
    Column("pending", Word(Pending)),  # what an order asks for; null: the node knows all of it
    Column("pending_at", Moment),
    Column("tries", Integer, nullable=False, server_default="1"),
    Column("next_attempt_at", Moment),
    Column("attention", Boolean, nullable=False, server_default=false()),
    Column("blocked_by", String),
    Column("not_before", Moment),  # of a leg, counted from when it was let go on
    Column("start_before", Moment),
    Column("turn", Integer, nullable=False, server_default="1"),  # the batch that it is in
    Column("percent", Float),  # of this attempt that is done, as its program told last
    Column("doing", String, nullable=False, server_default=""),  # what it told beside that
    Column("lane", String),  # agent.action, if that has a limit: in line for a slot, or in one
    Column("lined_at", Moment),  # since when it is in line
    Column("rank", Integer),  # in line: the lower goes first
    Column("slot_at", Moment),  # since when it has a slot
    Column("step", String),  # of a detour, that the attempt is; null: it is the leg itself
    Column("opens_at", Moment),  # when the window that it waits for opens; null: not in sight
    Column("told_until", Moment),  # its node was told to begin before a window closes
    # Four alarms; each is null when it is not set, so that a quiet index is an empty one.
    Column("dispatch_at", Moment),  # to be given to the broker from then on
    Column("order_at", Moment),  # an order is to be given to the broker from then on
    Column("ask_at", Moment),  # its node is to be asked from then on
    Column("expire_at", Moment),  # then it is too late to start, or its node is given up
    one_of("state", State),
)

for _alarm in (runs.c.dispatch_at, runs.c.order_at, runs.c.ask_at, runs.c.expire_at):
    Index(None, _alarm, runs.c.job, runs.c.node, **where(_alarm.is_not(None)))
AT_WORK = text("state IN ('running', 'cancelling')")  #: literally: so SQLite sees the index fits
Index("ix_runs_at_work", runs.c.node, **where(AT_WORK))
IS_LIVE = text("state NOT IN ('succeeded', 'failed', 'cancelled', 'skipped', 'expired')")
Index("ix_runs_live", runs.c.node, **where(IS_LIVE))
ASKS_ATTENTION = text("attention")
Index("ix_runs_attention", runs.c.org, runs.c.job, runs.c.node, **where(ASKS_ATTENTION))

IN_LINE = text("lane IS NOT NULL AND slot_at IS NULL")
HAS_SLOT = text("slot_at IS NOT NULL")
_line = (runs.c.lane, runs.c.org, runs.c.rank, runs.c.lined_at, runs.c.job, runs.c.node)
Index("ix_runs_in_line", *_line, **where(IN_LINE))
Index("ix_runs_slots", runs.c.lane, runs.c.org, runs.c.node, **where(HAS_SLOT))

HELD_UP = text("wait_reason IN ('window', 'pause')")
Index("ix_runs_held_up", runs.c.wait_reason, runs.c.org, runs.c.node, **where(HELD_UP))

attempts = Table(  # those before the latest, which is the run itself
    "attempts",
    metadata,
    Column("job", ForeignKey(jobs.c.id, ondelete="CASCADE"), primary_key=True),
    Column("node", String, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("org", String, nullable=False),
    Column("state", Word(State), nullable=False),
    Column("reason", Word(Reason)),
    Column("statuscode", Integer),
    Column("statusmsg", String, nullable=False),
    Column("data", JSON, nullable=False),
    Column("exit_code", Integer),
    Column("stdout_size", BigInteger, nullable=False),
    Column("stderr_size", BigInteger, nullable=False),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Column("late", Boolean, nullable=False),  # its end came after we had given it up
    Column("kept_at", Moment, nullable=False, index=True),
    Column("step", String),  # as of runs
)
