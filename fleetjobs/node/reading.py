"""Reading: what a node's disk tells of its runs, whoever asks, whatever else is down."""

import os
from contextlib import suppress
from datetime import datetime
from typing import Literal

import msgspec

from fleetjobs.contract import Progress
from fleetjobs.documents import decode
from fleetjobs.errors import Fault, NotFound
from fleetjobs.messages import Delivery, LogPart, Reply, RunReport, Stage
from fleetjobs.names import JobId
from fleetjobs.node.lanes import lane_of
from fleetjobs.signing import peek
from fleetjobs.spool.attempts import Accepted, RunDirectory
from fleetjobs.spool.spool import Spool

PROGRESS_BYTES = 16 * 1024  #: of the end of a progress file, looked at for its last line


def report(run: RunDirectory) -> RunReport:
    """How an attempt stands. Raises BrokenRun if the disk has lost what it was."""
    accepted = run.accepted
    final = _final(run)
    started_at = run.started_at()
    stage = Stage.STARTED if run.holder() else Stage.ACCEPTED
    return RunReport(
        job=run.key.job,
        attempt=run.key.attempt,
        generation=accepted.generation,
        task=lane_of(accepted),
        stage=Stage.FINISHED if final else stage,
        state=final.state if final else None,
        statusmsg=final.statusmsg if final else "",
        progress=progress(run),
        not_before=_not_before(accepted),
        accepted_at=accepted.accepted_at,
        started_at=started_at,
        ended_at=final.ended_at if final else None,
        stdout_size=_size(run, "stdout"),
        stderr_size=_size(run, "stderr"),
    )


def reports(spool: Spool, job: JobId | None = None, limit: int | None = None) -> list[RunReport]:
    """Of the job's attempts, or of all, the latest accepted first; broken ones are left out."""
    found = []
    for run in spool.attempts(job) if job else spool.runs():
        with suppress(Fault):
            found.append(report(run))
    found.sort(key=_recency, reverse=True)
    return found[:limit]


def progress(run: RunDirectory) -> Progress | None:
    """The last that the program told of its progress; None if it told nothing that can be read."""
    try:
        with open(run.path / "progress", "rb", opener=_without_waiting) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - PROGRESS_BYTES))
            lines = file.read(PROGRESS_BYTES).split(b"\n")
    except OSError:
        return None
    for line in reversed(lines[:-1]):  # what has no end yet is still being written
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return msgspec.json.decode(line, type=Progress)
    return None


def _without_waiting(path: str, flags: int) -> int:
    """Programs may put anything there: a pipe would keep its reader waiting."""
    return os.open(path, flags | os.O_NONBLOCK)


def log_part(
    run: RunDirectory, stream: Literal["stdout", "stderr"], offset: int, limit: int
) -> LogPart:
    """Some of the bytes that a run has written so far. Raises NotFound if they cannot be read."""
    is_over = run.is_settled  # asked first: what is written until then is read below
    try:
        with open(run.path / stream, "rb", opener=_without_waiting) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(offset)
            content = file.read(limit)
    except FileNotFoundError:
        size, content = 0, b""
    except OSError as error:
        raise NotFound(f"{stream} of {run.key}: {error.strerror or 'it is no file'}") from None
    return LogPart(
        attempt=run.key.attempt, offset=offset, content=content, size=size, is_over=is_over
    )


def _recency(found: RunReport) -> tuple[bool, datetime, int]:
    assert found.accepted_at is not None  # noqa: S101  of what lies on the disk it is known
    return (found.stage is not Stage.FINISHED, found.accepted_at, found.attempt)


def _final(run: RunDirectory) -> Reply | None:
    sealed = run.final()
    if sealed is None:
        return None
    try:
        return decode(Reply, peek(sealed))
    except Fault:
        return Reply(job=run.key.job, node="unknown", attempt=run.key.attempt, stage=Stage.FINISHED)


def _not_before(accepted: Accepted) -> datetime | None:
    with suppress(Fault):
        return decode(Delivery, peek(accepted.delivery)).not_before
    return None


def _size(run: RunDirectory, stream: str) -> int:
    try:
        return (run.path / stream).stat().st_size
    except OSError:
        return 0
