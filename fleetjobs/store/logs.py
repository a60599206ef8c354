"""Logs: what runs wrote to their streams, as far as their replies carried it."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, func, select

from fleetjobs.names import JobId, NodeId
from fleetjobs.store import dialect
from fleetjobs.store.schema.records import logs


class Stream(StrEnum):
    """The two streams of a program."""

    STDOUT = "stdout"
    STDERR = "stderr"


def save_logs(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Keep many, made by `log_row`."""
    if not rows:
        return
    statement = dialect.insert(connection, logs)
    new = {"content": statement.excluded.content}
    connection.execute(
        statement.on_conflict_do_update(index_elements=[*logs.primary_key], set_=new), rows
    )


def log_row(
    job: JobId, node: NodeId, attempt: int, stream: Stream, *, org: str, content: bytes
) -> dict[str, Any]:
    """The stream of an attempt, before it is kept."""
    key = {"job": job, "node": node, "attempt": attempt, "stream": str(stream)}
    return {**key, "org": org, "content": content}


def read_log(
    connection: Connection,
    job: JobId,
    node: NodeId,
    attempt: int,
    stream: Stream,
    *,
    offset: int = 0,
    limit: int,
) -> bytes:
    """At most `limit` bytes of the stream from `offset` on; empty behind what is kept."""
    part = func.substr(logs.c.content, offset + 1, limit, type_=logs.c.content.type)
    query = select(part).where(
        logs.c.job == job,
        logs.c.node == node,
        logs.c.attempt == attempt,
        logs.c.stream == str(stream),
    )
    return bytes(connection.execute(query).scalar() or b"")


def log_size(connection: Connection, job: JobId, node: NodeId, attempt: int, stream: Stream) -> int:
    """How many bytes of the stream are kept; the run's own sizes say how many were written."""
    query = select(func.length(logs.c.content)).where(
        logs.c.job == job,
        logs.c.node == node,
        logs.c.attempt == attempt,
        logs.c.stream == str(stream),
    )
    return connection.execute(query).scalar() or 0
