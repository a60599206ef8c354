"""Accounts: who may ask, for which org, and what narrows that down."""

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, String, Table

from fleetjobs.access import Effect
from fleetjobs.store.columns import Moment, Word
from fleetjobs.store.schema.metadata import metadata

orgs = Table(
    "orgs",
    metadata,
    Column("name", String, primary_key=True),
    Column("created_at", Moment, nullable=False),
    Column("disabled_at", Moment),
)

accounts = Table(
    "accounts",
    metadata,
    Column("name", String, primary_key=True),
    Column("org", ForeignKey(orgs.c.name), nullable=False, index=True),
    Column("role", String, nullable=False),
    Column("verify_key", String),  # base64url; null: the server signs for it
    Column("created_at", Moment, nullable=False),
    Column("disabled_at", Moment),
    Column("deleted_at", Moment),  # it keeps its name: what it did is on record
    Column("password", String),  # argon2id, as PHC string; null: it cannot log in by one
    Column("key_changed_at", Moment),  # another key, or none, took the place of one
)

grants = Table(
    "grants",
    metadata,
    Column("id", String, primary_key=True),
    Column("account", ForeignKey(accounts.c.name), nullable=False, index=True),
    Column("effect", Word(Effect), nullable=False),
    Column("verbs", JSON, nullable=False),  # empty: all
    Column("actions", JSON, nullable=False),
    Column("target", JSON(none_as_null=True)),  # null: every node
    Column("created_at", Moment, nullable=False),
    Column("created_by", String, nullable=False),
)

epochs = Table(  # counters that say whether what was read before still holds
    "epochs",
    metadata,
    Column("name", String, primary_key=True),  # rights: of orgs, accounts, keys and grants
    Column("number", BigInteger, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("sha256", String, primary_key=True),  # of the token, hexadecimal
    Column("account", ForeignKey(accounts.c.name), nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
)
