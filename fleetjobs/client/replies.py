"""Replies: what came of a job on each node, as its caller sees it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from fleetjobs.states import Reason, State, Status

Document = Mapping[str, Any]  #: JSON as the server sent it


class Reply(NamedTuple):
    """What one node replied; SimpleRPC's four fields first."""

    sender: str  # the node's identity
    statuscode: int  # 0: all is well; see states.Status
    statusmsg: str
    data: dict[str, Any]
    state: State  # how the run ended
    reason: Reason | str | None = None  # why, unless it succeeded
    exit_code: int | None = None  # of the program; negative: the signal that ended it
    run: Document = MappingProxyType({})  # all the server knows of it

    def __repr__(self) -> str:
        """Without `run`, which says all of it once more."""
        return f"<Reply {self.sender} {self.state} {self.statusmsg!r} {self.data}>"

    @property
    def is_ok(self) -> bool:
        """Whether the run succeeded."""
        return self.state is State.SUCCEEDED


def read_reply(run: Document) -> Reply:
    """The reply in a run document.

    A run that ended without its node's word (expired, lost) has status 1 and says why.
    """
    state = State(run["state"])
    reason = run.get("reason")
    code = run.get("statuscode")
    return Reply(
        sender=run["node"],
        statuscode=code if code is not None else _stand_in(state),
        statusmsg=run.get("statusmsg") or (_in_words(state, reason) if code is None else ""),
        data=run.get("data") or {},
        state=state,
        reason=Reason(reason) if reason in frozenset(Reason) else reason,
        exit_code=run.get("exit_code"),
        run=run,
    )


def _stand_in(state: State) -> Status:
    return Status.OK if state is State.SUCCEEDED else Status.ABORTED


def _in_words(state: State, reason: str | None) -> str:
    return f"{state}: {reason}" if reason and reason != state else str(state)
