"""Replies: what a node says of its attempts, at each stage."""

from datetime import datetime

from msgspec.structs import replace

from fleetjobs.errors import BrokenRun, Fault
from fleetjobs.messages import Reply, Stage
from fleetjobs.names import NodeId
from fleetjobs.node.verdict import Verdict, cancel, fail
from fleetjobs.spool.attempts import RunDirectory, RunKey
from fleetjobs.spool.fences import Fence
from fleetjobs.spool.spool import Spool
from fleetjobs.states import Reason, Status


def ended(key: RunKey, node: NodeId, verdict: Verdict, now: datetime) -> Reply:
    """The end of an attempt of which nothing is on the disk."""
    return Reply(
        job=key.job,
        node=node,
        attempt=key.attempt,
        stage=Stage.FINISHED,
        state=verdict.state,
        reason=verdict.reason,
        statuscode=verdict.statuscode,
        statusmsg=verdict.statusmsg,
        data=verdict.data,
        exit_code=verdict.exit_code,
        delay_s=verdict.delay_s,
        next=verdict.next,
        ended_at=now,
    )


def final_reply(
    spool: Spool, run: RunDirectory, node: NodeId, verdict: Verdict, now: datetime
) -> Reply:
    """The final reply of an attempt on disk, without its outputs."""
    try:
        accepted_at = run.accepted_at
    except BrokenRun:
        accepted_at = None
    return replace(
        ended(run.key, node, verdict, now),
        generation=spool.generation(run.key),
        accepted_at=accepted_at,
        started_at=run.started_at(),
    )


def standing(spool: Spool, run: RunDirectory, node: NodeId, now: datetime) -> Reply:
    """How far an attempt has come that has not ended; begun is what a runner has taken."""
    started_at = run.started_at() or (now if run.holder() else None)
    return Reply(
        job=run.key.job,
        node=node,
        attempt=run.key.attempt,
        generation=spool.generation(run.key),
        stage=Stage.STARTED if started_at else Stage.ACCEPTED,
        started_at=started_at,
    )


def fenced(key: RunKey, node: NodeId, fence: Fence, now: datetime) -> Reply:
    """What came of an attempt that was called back before it was on the disk."""
    if fence.is_stop:
        return replace(ended(key, node, cancel(fence.why), now), generation=fence.generation)
    return Reply(
        job=key.job,
        node=node,
        attempt=key.attempt,
        generation=fence.generation,
        stage=Stage.WITHDRAWN,
    )


def broken_verdict(broken: Fault) -> Verdict:
    """Of an attempt whose files cannot be read: what was asked is not known here any more."""
    return fail(Reason.INTERRUPTED, f"the node's disk lost it: {broken}", Status.UNKNOWN_ERROR)
