"""Verdict: what an attempt came to, from how its program ended and what it replied."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, structs

from fleetjobs.contract import NEXT_MOST, Delay, Next
from fleetjobs.interfaces import Action
from fleetjobs.node.reply_files import fault_in, read_raw
from fleetjobs.states import Reason, State, Status

_MESSAGE_LIMIT = 4096  # characters of a status message


class ReplyDocument(Struct, frozen=True, kw_only=True):
    """What a program writes; other keys are left to those who know them."""

    statuscode: Annotated[int, Meta(description="SimpleRPC's: 0 done, 1 could not, …")] = Status.OK
    statusmsg: str = ""
    data: Annotated[dict[str, Any], Meta(description="the outputs")] = {}
    delay_s: Annotated[
        Delay | None, Meta(description="too early: try again after so long; with a status not 0")
    ] = None
    next: Annotated[
        tuple[Next, ...],
        Meta(max_length=NEXT_MOST, description="jobs to follow; only with status 0"),
    ] = ()

    @classmethod
    def read(cls, path: Path) -> "ReplyDocument | str":
        """The reply in a file, or why there is none."""
        raw = read_raw(path)
        if isinstance(raw, str):
            return raw
        try:
            reply = msgspec.json.decode(raw, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return f"its reply cannot be read: {error}"
        return fault_in(reply.data, raw) or reply

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "ReplyDocument | str":
        """The reply in what Python gave, which may be as little JSON; or why there is none."""
        try:
            reply = msgspec.convert(document, cls)
            raw = msgspec.json.encode(reply)
        except (
            msgspec.MsgspecError,
            TypeError,
            ValueError,
            OverflowError,
            RecursionError,
        ) as error:
            return f"its reply cannot be read: {error}"
        return fault_in(reply.data, raw) or reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a program ended."""

    exit_code: int | None  # negative: the signal; None: nobody saw it end
    timed_out: bool = False
    stopped: str = ""  # why it was told to stop, if it was
    trouble: str = ""  # why it could not begin


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an attempt came to."""

    state: State
    reason: Reason | None = None
    statuscode: int = Status.OK
    statusmsg: str = "OK"
    data: dict[str, Any]
    exit_code: int | None = None
    delay_s: float | None = None  # the action asks to be tried again after so long
    next: tuple[Next, ...] = ()  # jobs that are to follow; empty unless it succeeded


#: why an attempt failed, by the status it replied; any other is a plain abort
_REASONS = {
    Status.UNKNOWN_ACTION: Reason.UNKNOWN_ACTION,
    Status.MISSING_DATA: Reason.USER_ERROR,
    Status.INVALID_DATA: Reason.USER_ERROR,
    Status.UNKNOWN_ERROR: Reason.EXCEPTION,
}


def fail(reason: Reason, message: str, status: int = Status.ABORTED) -> Verdict:
    """A failure without a reply from the action."""
    return Verdict(
        state=State.FAILED,
        reason=reason,
        statuscode=status,
        statusmsg=_said(message),
        data={},
    )


def _said(message: str) -> str:
    """Some of it, as everyone can be told: names of files need not be UTF-8."""
    return message[:_MESSAGE_LIMIT].encode("utf-8", "backslashreplace").decode()


def cancel(why: str) -> Verdict:
    """The end of what was told to stop."""
    return replace(fail(Reason.CANCELLED, why), state=State.CANCELLED)


def judge_reply(reply: ReplyDocument, action: Action | None) -> Verdict:
    """By what the action replied alone. Output defaults are filled in where it succeeded."""
    status = min(max(reply.statuscode, 0), 255)
    if status == Status.OK:
        data = action.with_output_defaults(reply.data) if action else reply.data
        following = _of_agent(reply.next, action.agent if action else None)
        return replace(judge_status(status, reply.statusmsg, data), next=following)
    return replace(judge_status(status, reply.statusmsg, reply.data), delay_s=reply.delay_s)


def judge_status(status: int, message: str, data: dict[str, Any]) -> Verdict:
    """By a status of SimpleRPC's, 0 to 255."""
    if status == Status.OK:
        return Verdict(state=State.SUCCEEDED, statusmsg=_said(message) or "OK", data=data)
    reason = _REASONS.get(Status(status), Reason.ABORTED) if status in _STATUSES else Reason.ABORTED
    return replace(fail(reason, message or f"status {status}", status), data=data)


def _of_agent(following: tuple[Next, ...], agent: str | None) -> tuple[Next, ...]:
    """The jobs to follow; those that name no agent are of the agent that asks."""
    return tuple(
        structs.replace(job, agent=agent) if job.agent is None else job for job in following
    )


_STATUSES = frozenset(int(status) for status in Status)


def judge(ending: Ending, reply: ReplyDocument | str, action: Action | None) -> Verdict:
    """By how the program ended, and what it replied or why it did not.

    An exit status other than 0 is a failure, and the reply tells which one if it has a status too.
    """
    if ending.trouble:
        return fail(Reason.LOAD_ERROR, ending.trouble, Status.UNKNOWN_ERROR)
    verdict = _judge(ending, reply, action)
    return replace(verdict, exit_code=ending.exit_code)


def _judge(ending: Ending, reply: ReplyDocument | str, action: Action | None) -> Verdict:
    data = {} if isinstance(reply, str) else reply.data
    verdict = cut_short(ending, data, action)
    if verdict is not None:
        return verdict
    if isinstance(reply, str):
        return _judge_silent(ending, reply)
    verdict = judge_reply(reply, action)
    if ending.exit_code and verdict.state is State.SUCCEEDED:
        return replace(fail(Reason.EXIT_CODE, exit_text(ending.exit_code)), data=data)
    return verdict


def cut_short(ending: Ending, data: dict[str, Any], action: Action | None) -> Verdict | None:
    """What was told to stop, or was over its time; None if it ended by itself."""
    if ending.stopped:
        return replace(cancel(ending.stopped), data=data)
    if ending.timed_out:
        seconds = f"{action.timeout.total_seconds():g} s" if action else "its time"
        return replace(fail(Reason.TIMEOUT, f"took longer than {seconds}"), data=data)
    return None


def _judge_silent(ending: Ending, why: str) -> Verdict:
    if ending.exit_code is None:
        message = f"its runner was killed, and {why}"
        return fail(Reason.INTERRUPTED, message, Status.UNKNOWN_ERROR)
    if ending.exit_code:
        return fail(Reason.EXIT_CODE, f"{exit_text(ending.exit_code)}, and {why}")
    return fail(Reason.NO_REPLY, why, Status.UNKNOWN_ERROR)


def exit_text(exit_code: int) -> str:
    """How a program ended, in words."""
    if exit_code > 0:
        return f"ended with status {exit_code}"
    try:
        return f"ended by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"ended by signal {-exit_code}"
