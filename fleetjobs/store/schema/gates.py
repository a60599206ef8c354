"""Gates: what keeps runs from beginning: windows, limits and turns."""

from sqlalchemy import JSON, Boolean, Column, Integer, String, Table

from fleetjobs.limits import Scope
from fleetjobs.store.columns import Moment, Word
from fleetjobs.store.schema.metadata import metadata

windows = Table(
    "windows",
    metadata,
    Column("org", String, primary_key=True),  # empty: of all orgs
    Column("name", String, primary_key=True),
    Column("document", JSON, nullable=False),
    Column("version", Integer, nullable=False),
    Column("by", String, nullable=False),
    Column("at", Moment, nullable=False),
)

limits = Table(  # how many runs of an action may be at work at once
    "limits",
    metadata,
    Column("action", String, primary_key=True),  # agent.action
    Column("scope", Word(Scope), primary_key=True),
    Column("name", String, primary_key=True),  # of the org or node; empty: each of them
    Column("declared", Boolean, primary_key=True),  # by an interface
    Column("most", Integer, nullable=False),
    Column("by", String, nullable=False),
    Column("at", Moment, nullable=False),
)

turns = Table(  # when an org last got a slot of an action: the next one is another's
    "turns",
    metadata,
    Column("lane", String, primary_key=True),
    Column("org", String, primary_key=True),
    Column("at", Moment, nullable=False),
)
