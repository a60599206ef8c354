"""Nodes: the machines, and what they offer."""

from sqlalchemy import JSON, Column, ForeignKey, Index, Integer, String, Table, text

from fleetjobs.store.columns import Moment
from fleetjobs.store.schema.accounts import orgs
from fleetjobs.store.schema.metadata import metadata, where

nodes = Table(
    "nodes",
    metadata,
    Column("identity", String, primary_key=True),
    Column("org", ForeignKey(orgs.c.name), nullable=False, index=True),
    Column("verify_key", String, nullable=False),  # base64url
    Column("enrolled_at", Moment, nullable=False),
    Column("seen_at", Moment),  # by our clock
    Column("started_at", Moment),  # by the node's clock, as all below
    Column("software", String),
    Column("running", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("classes", JSON, nullable=False),
    Column("agents", JSON, nullable=False),  # name -> version
    Column("refused", JSON, nullable=False),  # agent name -> why it was not loaded
    Column("slots", Integer, nullable=False, server_default="0"),
    Column("takes", Integer, nullable=False, server_default="1"),  # deliveries in one message
    Column("twin_at", Moment),  # when another machine last spoke under its identity, by our clock
    Column("twin_told_at", Moment),  # when that was logged
    Column("inventory", String),  # SHA-256 of the last inventory: most say nothing new
    Index(None, "twin_at", **where(text("twin_at IS NOT NULL"))),
)

interfaces = Table(
    "interfaces",
    metadata,
    Column("digest", String, primary_key=True),  # SHA-256 of the document, keys sorted
    Column("agent", String, nullable=False),
    Column("version", String, nullable=False),
    Column("document", JSON, nullable=False),
)

node_agents = Table(
    "node_agents",
    metadata,
    Column("node", ForeignKey(nodes.c.identity, ondelete="CASCADE"), primary_key=True),
    Column("agent", String, primary_key=True),
    Column("org", String, nullable=False),
    Column("interface", ForeignKey(interfaces.c.digest), nullable=False),
    Index(None, "org", "agent", "interface"),
)
