"""Fleet: what belongs to no job: settings, leases, switches and questions."""

from sqlalchemy import JSON, Column, Index, String, Table

from fleetjobs.store.columns import Moment
from fleetjobs.store.schema.metadata import metadata, where

settings = Table(  # what a fleet admin sets for all
    "settings",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", JSON, nullable=False),
    Column("at", Moment, nullable=False),
    Column("by", String, nullable=False),
)

questions = Table(
    "questions",
    metadata,
    Column("id", String, primary_key=True),
    Column("org", String, nullable=False),
    Column("node", String, nullable=False),
    Column("document", JSON, nullable=False),  # without the times, which sending adds
    Column("asked_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
    Column("sent_at", Moment),
    Column("answer", JSON(none_as_null=True)),
    Column("answered_at", Moment),
)
Index("ix_questions_unsent", questions.c.asked_at, **where(questions.c.sent_at.is_(None)))

leases = Table(
    "leases",
    metadata,
    Column("name", String, primary_key=True),
    Column("holder", String, nullable=False),  # host:pid
    Column("since", Moment, nullable=False),
    Column("until", Moment, nullable=False),
)

switches = Table(  # what was said to all coordinators
    "switches",
    metadata,
    Column("name", String, primary_key=True),  # relay, org:NAME, node:NAME: paused; stop: end
    Column("at", Moment, nullable=False),
    Column("by", String, nullable=False),
    Column("message", String, nullable=False),
)
