"""Jobs: what was accepted, and what waits for what."""

from sqlalchemy import (
    JSON,
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

from fleetjobs.jobs import Kind
from fleetjobs.states import Completion, Reason, Rollback, StartIf, State, WaitReason
from fleetjobs.store.columns import Moment, Word
from fleetjobs.store.schema.accounts import orgs
from fleetjobs.store.schema.metadata import metadata, one_of, where

jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("org", ForeignKey(orgs.c.name), nullable=False),
    Column("caller", String, nullable=False),
    Column("agent", String, nullable=False),
    Column("action", String, nullable=False),
    Column("data", JSON, nullable=False),  # secrets masked
    Column("target", JSON, nullable=False),
    Column("sealed", String, nullable=False),
    Column("meaning", String, nullable=False),  # digest of what was asked, whenever it was said
    Column("state", Word(State), nullable=False),
    Column("wait_reason", Word(WaitReason)),
    Column("reason", Word(Reason)),
    Column("tally", JSON, nullable=False),  # state -> number of runs
    Column("completion", Word(Completion)),
    Column("attention", Boolean(create_constraint=False), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("not_before", Moment),
    Column("start_before", Moment),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("rerun_of", String),
    Column("max_attempts", Integer, nullable=False, server_default="1"),
    Column("retry_delay_s", Float, nullable=False, server_default="30"),
    Column("lost_after_s", Float, nullable=False, server_default="60"),
    Column("retry_lost", Boolean, nullable=False, server_default=false()),
    Column("give_up_s", Float, server_default="86400"),  # after a run was lost; null: never
    Column("inline", Boolean, nullable=False, server_default=false()),
    Column("needing", Integer, nullable=False, server_default="0"),  # runs that need a person
    Column("edit", JSON(none_as_null=True)),  # columns as they are to be, once a node agrees
    Column("kind", Word(Kind), nullable=False, server_default=Kind.ACTION),
    Column("plan", String),  # that it is a part of, or the first job it follows
    Column("parent", String),  # the plan or group that it is a part of, or else its origin
    Column("origin", String),  # the job whose action asked for it
    Column("leg", String),  # its key in the plan
    Column("position", Integer, nullable=False, server_default="0"),  # in the plan
    Column("needs", JSON(none_as_null=True)),  # what it waits for, by leg; see `jobs.Link`
    Column("fills", JSON(none_as_null=True)),  # reference -> the leg whose answer it means
    Column("on_failure", String),
    Column("max_failures", Integer, nullable=False, server_default="0"),
    Column("delay_s", Float, nullable=False, server_default="0"),
    Column("weight", Float, nullable=False, server_default="1"),  # in its parent's percentage
    Column("weights", Float, nullable=False, server_default="0"),  # of all its legs
    Column("progress", Float, nullable=False, server_default="0"),  # how much of that is done
    Column("percent", Float),
    Column("blocked", Integer, nullable=False, server_default="0"),  # runs or legs that wait
    Column("forgiven", Integer, nullable=False, server_default="0"),  # failures that do not count
    Column("called_off", Boolean, nullable=False, server_default=false()),
    Column("partly", Boolean, nullable=False, server_default=false()),  # a leg was done in part
    Column("undoes", String),  # the leg that it takes back; of a group, the plan
    Column("undo", JSON(none_as_null=True)),  # what would take it back; see `plans.undoing.Recipe`
    Column("detour", JSON(none_as_null=True)),  # before another try; see `plans.detours.Step`
    Column("reverts", Boolean, nullable=False, server_default=false()),
    Column("undoing", Word(State)),  # how the taking back stands
    Column("rollback", Word(Rollback)),
    Column("rollback_percent", Float),
    Column("leg_summary", JSON(none_as_null=True)),  # of legs that were forgotten
    Column("irreversible", JSON(none_as_null=True)),  # keys of legs that nothing takes back
    Column("schedule", String),  # that made it
    Column("occurrence", Integer),  # of that schedule
    Column("missed_count", Integer, nullable=False, server_default="0"),
    Column("window_only", Boolean),  # null: what windows there are hold
    Column("splay_s", Float, nullable=False, server_default="0"),  # its nodes begin over so long
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("template", String),  # the id of the one it was made from
    Column("template_version", Integer),
    Column("rollout", JSON(none_as_null=True)),  # see `rollouts.Course`
    Column("rollout_at", Moment),  # its next batch begins then
    one_of("state", State),
)

TOP = text("parent IS NULL")  #: literally: so SQLite sees that the index fits
for _place in (
    (jobs.c.org, jobs.c.created_at, jobs.c.id),  # newest first
    (jobs.c.org, jobs.c.state, jobs.c.created_at, jobs.c.id),
    (jobs.c.created_at, jobs.c.id),
):
    Index(None, *_place, **where(TOP))
HAS_NOT_ENDED = text("ended_at IS NULL")  #: likewise
Index("ix_jobs_live", jobs.c.org, **where(HAS_NOT_ENDED))
Index(None, jobs.c.parent, jobs.c.position, **where(jobs.c.parent.is_not(None)))
Index(None, jobs.c.plan, jobs.c.position, **where(jobs.c.plan.is_not(None)))
FOLLOWS = text("origin IS NOT NULL")
Index(None, jobs.c.plan, jobs.c.origin, **where(FOLLOWS))

Index(None, jobs.c.schedule, jobs.c.created_at, **where(jobs.c.schedule.is_not(None)))
OF_SCHEDULE = text("schedule IS NOT NULL AND ended_at IS NULL")
Index("ix_jobs_schedule_live", jobs.c.schedule, **where(OF_SCHEDULE))

Index(None, jobs.c.template, jobs.c.created_at, **where(jobs.c.template.is_not(None)))
Index(None, jobs.c.rollout_at, **where(jobs.c.rollout_at.is_not(None)))

dependencies = Table(
    "dependencies",
    metadata,
    Column("job", ForeignKey(jobs.c.id, ondelete="CASCADE"), primary_key=True),
    Column("node", String, primary_key=True, server_default=""),  # empty: all its runs wait
    Column("on_job", String, primary_key=True),
    Column("on_node", String, primary_key=True),  # empty: for the whole job
    Column("when", Word(StartIf), nullable=False),
    Column("met", Boolean, nullable=False),
    Index(None, "on_job", "on_node"),
)
