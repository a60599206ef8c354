"""Notices: who wishes to hear of what, and what was told."""

from sqlalchemy import JSON, Column, Float, Index, Integer, String, Table, text

from fleetjobs.store.columns import Moment
from fleetjobs.store.schema.metadata import metadata, where

wishes = Table(  # who wishes to hear of what
    "wishes",
    metadata,
    Column("id", String, primary_key=True),
    Column("org", String, nullable=False),
    Column("job", String, nullable=False),  # empty: all jobs of the org
    Column("topics", JSON, nullable=False),
    Column("sinks", JSON, nullable=False),
    Column("duration_s", Float),
    Column("by", String, nullable=False),
    Column("created_at", Moment, nullable=False),
    Index(None, "job", "org"),
    Index("ix_wishes_duration", "job", "org", **where(text("duration_s IS NOT NULL"))),
)

notices = Table(  # what is told to somebody
    "notices",
    metadata,
    Column("id", String, primary_key=True),
    Column("org", String),  # null: to those who run the fleet
    Column("topic", String, nullable=False),
    Column("sink", String, nullable=False),
    Column("job", String, index=True),
    Column("schedule", String),
    Column("wish", String),  # whose time has passed; null: it is told of something else
    Column("document", JSON, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("due_at", Moment),  # null: it was sent, or given up
    Column("tries", Integer, nullable=False),
    Column("sent_at", Moment),
    Column("error", String, nullable=False),
    Index(None, "org", "created_at", "id"),
    Index(None, "due_at", **where(text("due_at IS NOT NULL"))),
)

outcomes = Table(  # how the last job of each schedule ended that tells of it
    "outcomes",
    metadata,
    Column("schedule", String, primary_key=True),
    Column("outcome", String, nullable=False),  # ok, failed
    Column("flips", Integer, nullable=False),  # how often that was told
    Column("at", Moment, nullable=False),
)
