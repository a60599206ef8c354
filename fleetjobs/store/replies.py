"""Replies: what nodes tell of their attempts, counted once each."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from fleetjobs.jobs import JobId, NodeId
from fleetjobs.messages import Output, Reply, Stage
from fleetjobs.signing import node_key_id
from fleetjobs.states import State
from fleetjobs.store.columns import printable
from fleetjobs.store.events import add_event
from fleetjobs.store.ledger import Ledger, RunEntry
from fleetjobs.store.logs import Stream, log_row, save_logs
from fleetjobs.store.standing import is_news, reply_path

_INT32 = 2**31 - 1
_INT64 = 2**63 - 1


def apply_replies(connection: Connection, replies: Sequence[Reply], now: datetime) -> set[JobId]:
    """Note each reply once, move runs and jobs; gives the jobs that moved.

    Replies may come twice, late, out of order, or before the run was marked as handed over.
    """
    written: list[dict[str, Any]] = []
    ledger = Ledger(connection, [(JobId(r.job), NodeId(r.node)) for r in replies], now)
    for reply in replies:
        run = ledger.run(JobId(reply.job), NodeId(reply.node))
        if run is None:
            _note_unknown(connection, reply, now)
        elif run.attempt != reply.attempt or run.state.is_terminal:
            _note_late(ledger, run, reply)
        elif is_news(run.stage, reply.stage):
            _apply(ledger, run, reply, now)
            written += _logs(run, reply)
    save_logs(connection, written)
    return ledger.write()


def _apply(ledger: Ledger, run: RunEntry, reply: Reply, now: datetime) -> None:
    way = reply_path(run.state, reply)
    finished = reply.stage is Stage.FINISHED
    ledger.move(
        run,
        way,
        actor=node_key_id(reply.node),
        reason=reply.reason if finished and way[-1] is not State.SUCCEEDED else None,
        began_at=reply.started_at,
        detail={"statuscode": reply.statuscode, "exit_code": reply.exit_code} if finished else None,
    )
    run.stage = reply.stage
    run.changes |= {"stage": reply.stage, "expire_at": None}
    if run.queued_at is None:
        run.queued_at = run.changes["queued_at"] = now
    if reply.started_at is not None:
        run.changes["started_at"] = reply.started_at
    if finished:
        run.changes |= _end(reply, now)


def _end(reply: Reply, now: datetime) -> dict[str, Any]:
    code = reply.exit_code
    return {
        "statuscode": reply.statuscode,
        "statusmsg": printable(reply.statusmsg),
        "data": reply.data,
        "exit_code": None if code is None or abs(code) > _INT32 else code,
        "stdout_size": _size(reply.stdout),
        "stderr_size": _size(reply.stderr),
        "ended_at": reply.ended_at or now,
        "dispatch_at": None,
        "ask_at": None,
    }


def _size(output: Output | None) -> int:
    return 0 if output is None else max(0, min(output.size, _INT64))


def _logs(run: RunEntry, reply: Reply) -> list[dict[str, Any]]:
    return [
        log_row(run.job, run.node, run.attempt, stream, org=run.org, content=output.content)
        for stream, output in ((Stream.STDOUT, reply.stdout), (Stream.STDERR, reply.stderr))
        if output is not None and output.content
    ]


def _note_late(ledger: Ledger, run: RunEntry, reply: Reply) -> None:
    """Keep an end that came after ours; it changes nothing. The same end again is no news."""
    if reply.stage is not Stage.FINISHED:
        return
    if reply.attempt == run.attempt:
        if run.stage is Stage.FINISHED or reply.state == run.state:
            return
        run.stage = run.changes["stage"] = Stage.FINISHED
    ledger.note(
        run,
        "reply.late",
        actor=node_key_id(reply.node),
        reason=reply.reason,
        detail={
            "attempt": reply.attempt,
            "state": reply.state,
            "statuscode": reply.statuscode,
            "statusmsg": reply.statusmsg,
            "data": reply.data,
        },
    )


def _note_unknown(connection: Connection, reply: Reply, now: datetime) -> None:
    add_event(
        connection,
        at=now,
        kind="reply.rejected",
        actor=node_key_id(reply.node),
        node=NodeId(reply.node),
        reason="not_found",
        detail={"job": reply.job, "why": "the job has no run on this node"},
    )
