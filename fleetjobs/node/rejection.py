"""Rejection: how a run ends that is asked for in due form and must not begin."""

from datetime import datetime

from msgspec.structs import replace

from fleetjobs.errors import (
    Denied,
    InvalidReference,
    MissingInput,
    Refused,
    UnknownAction,
    UnknownAgent,
)
from fleetjobs.messages import Reply
from fleetjobs.names import NodeId
from fleetjobs.node.replies import ended
from fleetjobs.node.verdict import Verdict
from fleetjobs.spool.attempts import RunKey
from fleetjobs.states import Reason, State, Status


class TooLate(Refused):
    """Past its start_before."""

    code = "expired"


def rejection(key: RunKey, node: NodeId, refused: Refused, now: datetime) -> Reply:
    """The final reply that says why."""
    status, reason, state = _judge(refused)
    verdict = Verdict(
        state=state, reason=reason, statuscode=status, statusmsg=str(refused), data={}
    )
    return replace(ended(key, node, verdict, now), accepted_at=now)


def _judge(refused: Refused) -> tuple[Status, Reason, State]:
    match refused:
        case TooLate():
            return Status.ABORTED, Reason.START_BEFORE, State.EXPIRED
        case UnknownAgent() | UnknownAction():
            return Status.UNKNOWN_ACTION, Reason.UNKNOWN_ACTION, State.FAILED
        case MissingInput() | InvalidReference():
            return Status.MISSING_DATA, Reason.INVALID, State.FAILED
        case Denied():
            return Status.ABORTED, Reason.DENIED, State.FAILED
        case _:
            return Status.INVALID_DATA, Reason.INVALID, State.FAILED
