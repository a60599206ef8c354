"""Records: what happened, what was changed and what programs wrote."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
)

from fleetjobs.states import State
from fleetjobs.store.columns import Moment, Word
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.metadata import metadata, where

audit = Table(  # never changed, never pruned; each row bears the hash of the one before
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),  # from 1, without a gap
    Column("at", Moment, nullable=False),
    Column("actor", String, nullable=False),  # an account; empty: nobody that we know
    Column("address", String, nullable=False),  # from where; empty: on the server itself
    Column("org", String),  # whose thing it is; null: nobody's
    Column("kind", String, nullable=False),  # such as `account.changed`
    Column("subject", String, nullable=False),
    Column("before", JSON(none_as_null=True)),
    Column("after", JSON(none_as_null=True)),
    Column("note", String, nullable=False),  # of what was refused: why
    Column("previous", String, nullable=False),
    Column("hash", String, nullable=False),
    Index(None, "org", "seq"),
)

logs = Table(
    "logs",
    metadata,
    Column("job", ForeignKey(jobs.c.id, ondelete="CASCADE"), primary_key=True),
    Column("node", String, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("stream", String, primary_key=True),  # stdout, stderr
    Column("org", String, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", Moment, nullable=False),
    Column("org", String),
    Column("job", String),
    Column("node", String),
    Column("kind", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("old", Word(State)),
    Column("new", Word(State)),
    Column("reason", String),
    Column("detail", JSON, nullable=False),
    Column("plan", String),  # that the job is, or is a part of
    Index(None, "job", "seq"),
    Index(None, "org", "seq"),
    sqlite_autoincrement=True,  # a number is never used again, so a reader's place stays its place
)
Index(None, events.c.plan, events.c.seq, **where(events.c.plan.is_not(None)))
