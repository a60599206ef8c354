"""Audit: who changed what, and who was refused; only ever added to.

Each row bears the SHA-256 of itself and of the hash before it, so that a row that is changed, or
taken out, breaks the chain from there on. What was cut off at the end shows when the hash of a
later row was noted elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, func, insert, or_, select

from fleetjobs.store import dialect
from fleetjobs.store.schema.records import audit

LOCK = 7_261_002  #: the advisory lock under which PostgreSQL adds rows: one after another
BEGIN = ""  #: the hash before the first row's
BATCH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who does something, and from where."""

    account: str
    address: str = ""  # empty: on the server itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A row of the audit."""

    seq: int
    at: datetime
    actor: str
    address: str
    org: str | None  # whose thing it is
    kind: str
    subject: str
    before: Any
    after: Any
    note: str
    previous: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the chain holds."""

    rows: int
    head: str  # the hash of the last row that was looked at
    broken_at: int | None = None  # the first row that is not what it was, or is missing
    has_noted: bool = True  # whether the hash that was noted before is there


def add_record(
    connection: Connection,
    *,
    at: datetime,
    author: Author,
    kind: str,
    subject: str,
    org: str | None,
    before: Any = None,
    after: Any = None,
    note: str = "",
) -> None:
    """Add a row; in the transaction of what it tells of, and late in it: others wait for its end.

    `before` and `after` hold no secrets; what is the same in both is left out.
    """
    if not dialect.is_sqlite(connection):  # SQLite lets one writer in at a time anyway
        connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
    last = connection.execute(_LAST).one_or_none()
    before, after = _differing(msgspec.to_builtins(before), msgspec.to_builtins(after))
    row: dict[str, Any] = {
        "seq": 1 if last is None else last.seq + 1,
        "at": at,
        "actor": author.account,
        "address": author.address,
        "org": org,
        "kind": kind,
        "subject": subject,
        "before": before,
        "after": after,
        "note": note,
        "previous": BEGIN if last is None else last.hash,
    }
    connection.execute(insert(audit).values(row | {"hash": hash_of(row)}))


_LAST = select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
_NAMES = tuple(field.name for field in fields(Record))


def hash_of(row: dict[str, Any]) -> str:
    """SHA-256 of the row's columns but `hash`, as a JSON array in their order, hexadecimal."""
    at = row["at"].astimezone(UTC).isoformat(timespec="microseconds")
    values = [at if name == "at" else row[name] for name in _NAMES if name != "hash"]
    return sha256(msgspec.json.encode(values, order="deterministic")).hexdigest()


def _differing(before: Any, after: Any) -> tuple[Any, Any]:
    if not isinstance(before, dict) or not isinstance(after, dict):
        return before, after
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return (
        {name: before[name] for name in names if name in before},
        {name: after[name] for name in names if name in after},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which rows are wanted; all that is given must hold."""

    org: str | None = None  # None: everybody's
    actor: str | None = None
    kinds: Sequence[str] = ()  # whole, or ending in a dot: beginnings
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def list_records(
    connection: Connection, wanted: AuditFilter, *, before: int | None, limit: int
) -> list[Record]:
    """Rows, the latest first; those before a number if given."""
    query = _wanted(wanted).order_by(audit.c.seq.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.seq < before)
    return [Record(**row) for row in connection.execute(query).mappings()]


def _wanted(wanted: AuditFilter) -> Select[Any]:
    query = select(audit)
    equal = {
        audit.c.org: wanted.org,
        audit.c.actor: wanted.actor,
        audit.c.subject: wanted.subject,
    }
    query = query.where(*(column == value for column, value in equal.items() if value is not None))
    if wanted.kinds:
        whole = [kind for kind in wanted.kinds if not kind.endswith(".")]
        begun = [
            audit.c.kind.startswith(kind, autoescape=True)
            for kind in wanted.kinds
            if kind not in whole
        ]
        query = query.where(or_(audit.c.kind.in_(whole), *begun))
    if wanted.since is not None:
        query = query.where(audit.c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(audit.c.at < wanted.until)
    return query


def verify(connection: Connection, *, noted: str | None = None) -> Verdict:
    """Whether every row is what it was. `noted`: a hash that has to be among theirs."""
    previous, seq, found = BEGIN, 0, noted is None
    while True:
        query = select(audit).where(audit.c.seq > seq).order_by(audit.c.seq).limit(BATCH)
        rows = connection.execute(query).mappings().all()
        for row in rows:
            expected = (seq + 1, previous, hash_of(dict(row)))
            if (row["seq"], row["previous"], row["hash"]) != expected:
                return Verdict(rows=seq, head=previous, broken_at=seq + 1, has_noted=found)
            seq, previous = row["seq"], row["hash"]
            found |= previous == noted
        if len(rows) < BATCH:
            return Verdict(rows=seq, head=previous, has_noted=found)
