"""Schedules: rules that make jobs, and the fate of each occurrence."""

from sqlalchemy import JSON, Boolean, Column, ForeignKey, Index, Integer, String, Table, false

from fleetjobs.schedules.due import Fate
from fleetjobs.states import Reason
from fleetjobs.store.columns import Moment, Word
from fleetjobs.store.schema.accounts import orgs
from fleetjobs.store.schema.metadata import metadata, where

schedules = Table(
    "schedules",
    metadata,
    Column("id", String, primary_key=True),
    Column("org", ForeignKey(orgs.c.name), nullable=False),
    Column("label", String, nullable=False),
    Column("owner", String, nullable=False),  # in whose name its jobs are asked for
    Column("document", JSON, nullable=False),  # what was handed in
    Column("shown", JSON, nullable=False),  # the same with secrets masked
    Column("anchor", Moment, nullable=False),  # where its rule begins to count
    Column("seen_at", Moment, nullable=False),  # occurrences up to then have their fates
    Column("next_at", Moment),  # null: none is awaited
    Column("made", Integer, nullable=False),  # jobs
    Column("skips", Integer, nullable=False),  # so many of the next occurrences are left out
    Column("version", Integer, nullable=False),
    Column("builtin", Boolean, nullable=False, server_default=false()),  # see templates
    Column("seed", Integer),
    Column("barred", Boolean, nullable=False, server_default=false()),  # by the settings
    Column("created_at", Moment, nullable=False),
    Column("ended_at", Moment),  # deleted then; its jobs and occurrences stay
    Column("tells", Boolean(create_constraint=False), nullable=False, server_default=false()),
)
Index(
    "uq_schedules_label",
    schedules.c.org,
    schedules.c.label,
    unique=True,
    **where(schedules.c.ended_at.is_(None)),
)
Index(None, schedules.c.next_at, schedules.c.id, **where(schedules.c.next_at.is_not(None)))

occurrences = Table(  # each has exactly one fate
    "occurrences",
    metadata,
    Column("schedule", ForeignKey(schedules.c.id), primary_key=True),
    Column("at", Moment, primary_key=True),
    Column("org", String, nullable=False),
    Column("fate", Word(Fate), nullable=False),
    Column("reason", Word(Reason)),
    Column("job", String),  # that it became, or that stands for it
    Column("noted_at", Moment, nullable=False),
)
