"""Replies: what nodes tell of their attempts, counted once each."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from fleetjobs.jobs import Pending
from fleetjobs.messages import Output, Reply, Stage
from fleetjobs.names import JobId, NodeId
from fleetjobs.signing import node_key_id
from fleetjobs.states import Reason, State
from fleetjobs.store.attempts import (
    Chance,
    begin_attempt,
    is_late_news,
    is_worth_retrying,
    save_attempts,
)
from fleetjobs.store.columns import printable
from fleetjobs.store.edits import apply_edit, drop_edit_if_too_late, forget_place
from fleetjobs.store.entries import COORDINATOR, RunEntry, start_limit
from fleetjobs.store.events import add_event
from fleetjobs.store.failures import fail
from fleetjobs.store.judging import block, settle, skip_in_vain
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.logs import Stream, log_row, save_logs
from fleetjobs.store.outbox import confirm, give_back, hold_back, line_up
from fleetjobs.store.standing import UNSTARTED, attempt_limit, final_state, is_news, reply_path
from fleetjobs.store.tries import next_try

_INT32 = 2**31 - 1
_INT64 = 2**63 - 1


def no_jitter() -> float:
    """The chance that makes no retry sooner or later."""
    return 0.5


Follow = Callable[[Ledger, RunEntry, Reply], set[JobId]]  #: makes the jobs that a reply asks for


def follow_nothing(ledger: Ledger, run: RunEntry, _: Reply) -> set[JobId]:
    """Make no jobs, and say so: nobody is there who could sign for them."""
    why = "this coordinator has no server_key to sign them with"
    ledger.note(run, "run.next_refused", actor=COORDINATOR, detail={"why": why})
    return set()


def apply_replies(
    connection: Connection,
    replies: Sequence[Reply],
    now: datetime,
    *,
    chance: Chance = no_jitter,
    follow: Follow = follow_nothing,
) -> set[JobId]:
    """Note each reply once, move runs and jobs; gives the jobs that moved.

    Replies may come twice, late, out of order, or before the run was marked as handed over.
    `follow` makes the jobs that a success asks for.
    """
    written: list[dict[str, Any]] = []
    ended: list[dict[str, Any]] = []
    asking: list[tuple[RunEntry, Reply]] = []
    ledger = Ledger(connection, [(JobId(r.job), NodeId(r.node)) for r in replies], now)
    for reply in replies:
        run = ledger.run(JobId(reply.job), NodeId(reply.node))
        if run is None:
            _note_unknown(connection, reply, now)
        elif run.attempt != reply.attempt or run.state.is_terminal:
            _note_late(ledger, run, reply)
        elif reply.stage is Stage.WITHDRAWN:
            _take_back(ledger, run, reply)
        elif is_news(run.stage, reply.stage) and not _is_outdated(run, reply):
            written += _logs(run, reply)
            called_off = run.state is State.CANCELLING
            _apply(ledger, run, reply, ended, chance)
            if reply.next and run.state is State.SUCCEEDED and not called_off:
                asking.append((run, reply))
    save_logs(connection, written)
    save_attempts(connection, ended)
    made = [follow(ledger, run, reply) for run, reply in asking]
    return settle(ledger).union(*made)


def _is_outdated(run: RunEntry, reply: Reply) -> bool:
    """Whether the node has given the attempt back since it said that it has it."""
    accepted = reply.stage is Stage.ACCEPTED
    return accepted and run.state is not State.QUEUED and reply.generation < run.generation


def _apply(
    ledger: Ledger, run: RunEntry, reply: Reply, ended: list[dict[str, Any]], chance: Chance
) -> None:
    actor = node_key_id(reply.node)
    _note_too_late(ledger, run, reply)
    told: dict[str, Any] = {"stage": reply.stage, "blocked_by": reply.blocked_by}
    told["expire_at"] = _next_look(ledger, run) if reply.stage is Stage.ACCEPTED else None
    if run.queued_at is None:
        told["queued_at"] = ledger.now
    if reply.started_at is not None:
        told["started_at"] = reply.started_at
    run.change(**told)
    if reply.stage is Stage.FINISHED:
        _finish(ledger, run, reply, ended, chance)
        return
    way = reply_path(run.state, reply)
    ledger.move(run, way, actor=actor, began_at=reply.started_at)


def _next_look(ledger: Ledger, run: RunEntry) -> datetime | None:
    """When to see whether the node that has the run is still there; None: it may stay away."""
    job = ledger.job_of(run)
    if job.rollout is not None:
        return run.expire_at  # its batch waits for it to begin, not only to be taken
    if job.give_up_s is None:
        return None
    return max(ledger.now, start_limit(job, run) or ledger.now) + timedelta(seconds=job.give_up_s)


def _finish(
    ledger: Ledger, run: RunEntry, reply: Reply, ended: list[dict[str, Any]], chance: Chance
) -> None:
    actor = node_key_id(reply.node)
    job = ledger.job_of(run)
    way = reply_path(run.state, reply)
    end = _end(reply, ledger.now)
    if run.pending is not None:
        confirm(run)
    run.change(**end if run.step is None else _but_its_own(end))
    again = None
    if State.CANCELLING not in {run.state, *way}:
        again = next_try(ledger, run, reply, chance)
    elif run.step is not None and way[-1] is State.SUCCEEDED:
        way = (*way[:-1], State.CANCELLED)  # the leg itself was not done
    if again is not None:
        ended.append(_attempt_row(run, reply, end, ledger.now))
        _begin(ledger, run, way)
        how: dict[str, Any] = {"costs": again.costs, "step": again.step}
        at = ledger.now + again.wait
        begin_attempt(ledger, run, at, actor=actor, reason=reply.reason, **how)
        if reply.state is State.EXPIRED:
            run.change(expire_at=start_limit(job, run), told_until=None)
        return
    reason = None if way[-1] is State.SUCCEEDED else reply.reason
    detail: dict[str, Any] = {"statuscode": reply.statuscode, "exit_code": reply.exit_code}
    used_up = 1 < job.max_attempts <= run.tries and is_worth_retrying(reason, reply.statuscode)
    if way[-1] is State.FAILED and used_up:
        detail["reason"], reason = reason, Reason.ATTEMPTS_EXHAUSTED
    told: dict[str, Any] = {"reason": reason, "began_at": reply.started_at, "detail": detail}
    if way[-1] is State.FAILED:
        fail(ledger, run, way, actor=actor, **told)
    else:
        ledger.move(run, way, actor=actor, **told)
    if way[-1] is State.SUCCEEDED and run.tries > 1:
        ledger.note(run, "run.recovered", actor=actor, detail={"failed": run.tries - 1})


def _but_its_own(end: dict[str, Any]) -> dict[str, Any]:
    """What a step came to, without its answer: the leg's own may be needed to undo it."""
    return {name: value for name, value in end.items() if name != "data"}


def _begin(ledger: Ledger, run: RunEntry, way: Sequence[State]) -> None:
    """Let the run start, if it did not yet, before it waits for its next attempt."""
    if way and State.RUNNING in way:
        started = way[: way.index(State.RUNNING) + 1]
        ledger.move(run, started, actor=node_key_id(run.node), began_at=run.changes["started_at"])


_WITHDRAWING = frozenset({Pending.EDIT, Pending.HOLD, Pending.DENY})
_HOLDING = {Pending.HOLD: Reason.HOLD, Pending.DENY: Reason.DENIED}


def _take_back(ledger: Ledger, run: RunEntry, reply: Reply) -> None:
    """The node gave the attempt back before it began: edit it, or hold it, as was asked."""
    actor = node_key_id(reply.node)
    wanted = run.pending
    if wanted not in _WITHDRAWING or reply.generation < run.generation:
        return
    job = ledger.job_of(run)
    if job.edit is not None:
        apply_edit(ledger, job, actor=actor)
    give_back(run)
    if wanted is Pending.EDIT:
        forget_place(job, run)
    if wanted in _HOLDING and run.state is State.QUEUED:
        hold_back(ledger, run, actor=actor, reason=_HOLDING[wanted])
        limit = attempt_limit(start_limit(job, run), job.give_up_s, run.attempt, ledger.now)
        run.change(expire_at=limit)
    elif wanted is Pending.EDIT and run.state in UNSTARTED:
        line_up(ledger, run, actor=actor, blocked=block(ledger, run))
        skip_in_vain(ledger, run.job)


def _note_too_late(ledger: Ledger, run: RunEntry, reply: Reply) -> None:
    """What has begun can no longer be changed or held."""
    begun = reply.stage in {Stage.STARTED, Stage.FINISHED}
    if not begun or run.pending not in _WITHDRAWING:
        return
    kind, actor = f"run.{run.pending}_too_late", node_key_id(reply.node)
    ledger.note(run, kind, actor=actor, detail={"attempt": run.attempt})
    confirm(run)
    job = ledger.job_of(run)
    if job.edit is not None:
        drop_edit_if_too_late(ledger, job, actor=actor)


def _attempt_row(run: RunEntry, reply: Reply, end: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The attempt as history keeps it."""
    told = ("statuscode", "statusmsg", "data", "exit_code", "stdout_size", "stderr_size")
    return {
        **{name: end[name] for name in (*told, "ended_at")},
        "job": run.job,
        "node": run.node,
        "attempt": run.attempt,
        "org": run.org,
        "state": final_state(State.RUNNING, reply),
        "reason": reply.reason,
        "started_at": reply.started_at,
        "late": False,
        "kept_at": now,
        "step": run.step,
    }


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
        if run.pending is not None:
            confirm(run)
            ledger.note(run, "run.confirmed", actor=node_key_id(reply.node))
        foreseen = reply.state == run.state and run.reason is not Reason.LOST
        if run.stage is Stage.FINISHED or foreseen:
            return
        run.change(stage=Stage.FINISHED)
    elif reply.attempt < run.attempt and not is_late_news(
        ledger.connection, run.job, run.node, reply.attempt
    ):
        return
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
