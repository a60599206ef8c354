"""Templates: named plans and actions, in all their versions."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table

from fleetjobs.store.columns import Moment
from fleetjobs.store.schema.accounts import orgs
from fleetjobs.store.schema.metadata import metadata, where

templates = Table(
    "templates",
    metadata,
    Column("id", String, primary_key=True),
    Column("org", ForeignKey(orgs.c.name)),  # null: every org may use it
    Column("label", String, nullable=False),
    Column("description", String, nullable=False),
    Column("version", Integer, nullable=False),  # the newest
    Column("seed", Integer),  # the version of the seed it was last made from
    Column("builtin", Boolean, nullable=False),  # it came with the installation
    Column("created_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("ended_at", Moment),  # deleted then; its versions stay
)
ENDLESS = templates.c.ended_at.is_(None)
Index(
    "uq_templates_label",
    templates.c.org,
    templates.c.label,
    unique=True,
    **where(ENDLESS & templates.c.org.is_not(None)),
)
Index(
    "uq_templates_label_of_fleet",
    templates.c.label,
    unique=True,
    **where(ENDLESS & templates.c.org.is_(None)),
)

template_versions = Table(  # no row of it ever changes
    "template_versions",
    metadata,
    Column("template", ForeignKey(templates.c.id), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("text", String, nullable=False),
    Column("author", String, nullable=False),
    Column("created_at", Moment, nullable=False),
)
