"""States: where jobs and runs stand, their legal moves, and what a job's runs say of it."""

from collections import Counter
from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import NamedTuple

from fleetjobs.errors import InvalidTransition


class State(StrEnum):
    """Where a job or a run stands; one vocabulary for both."""

    SCHEDULED = "scheduled"  # waits only for its time
    WAITING = "waiting"  # accepted; a guard is unmet, see wait_reason
    QUEUED = "queued"  # handed to the node
    RUNNING = "running"  # the action's program is at work
    CANCELLING = "cancelling"  # asked to stop; not yet confirmed
    REVERTING = "reverting"  # rollback under way
    PAUSED = "paused"  # a person decides, or late truth resolves it
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        """Whether the state absorbs: later evidence is kept beside it and changes nothing."""
        return self in TERMINAL


TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.SKIPPED, State.EXPIRED})
LIVE = frozenset(State) - TERMINAL


class WaitReason(StrEnum):
    """The guard that a waiting job or run has not met."""

    OUTBOX = "outbox"  # accepted; the coordinator has not yet handed it to the broker
    DEPENDENCY = "dependency"  # another job has to end first
    RESOURCE = "resource"  # another job holds the resource
    CONCURRENCY = "concurrency"  # no slot is free
    WINDOW = "window"  # starting is not allowed now
    PAUSE = "pause"  # its org or its node begins nothing until it is resumed
    ROLLOUT = "rollout"  # its batch has not come
    RETRY = "retry"  # a failed attempt is to be repeated
    APPROVAL = "approval"  # a person has to agree
    NODE = "node"  # the node is away


class Reason(StrEnum):
    """Why a job or run ended, or stands, as it does."""

    EXIT_CODE = "exit_code"  # the program ended with a status other than 0
    EXCEPTION = "exception"  # the action raised
    ABORTED = "aborted"  # the action replied a status other than 0
    TIMEOUT = "timeout"  # over its time; its process group was ended
    INTERRUPTED = "interrupted"  # the attempt ended with its runner or its node; nobody saw how
    LOST = "lost"  # the node fell silent and did not return in time
    NODE_REMOVED = "node_removed"  # its node was taken off the fleet
    DENIED = "denied"  # not allowed, by grant or policy
    INVALID = "invalid"  # the node's own interface refused the data
    UNKNOWN_ACTION = "unknown_action"  # the node has no such agent or action
    LOAD_ERROR = "load_error"  # the agent could not be loaded or started
    NO_REPLY = "no_reply"  # the program ended well and left no readable reply
    USER_ERROR = "user_error"  # the action says the request itself was wrong
    START_BEFORE = "start_before"  # not started in time
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    ROLLBACK_STUCK = "rollback_stuck"  # what takes a leg back failed, as often as it may
    DEPENDENCY_FAILED = "dependency_failed"
    START_IF = "start_if"  # it was for the case that another one fails, which did not
    OVERLAP = "overlap"
    MISSED = "missed"
    WINDOW = "window"
    SKIP_NEXT = "skip_next"  # a person wanted this occurrence left out
    RESOURCE_MISSING = "resource_missing"
    RESOURCE_EXISTS = "resource_exists"
    HOLD = "hold"  # a person set it aside
    CANCELLED = "cancelled"  # a person called it off
    ROLLOUT = "rollout"  # too many had failed before its turn came, or a person lets it go on
    RUNS_FAILED = "runs_failed"  # of a job: more of its runs failed than it tolerates
    LEGS_FAILED = "legs_failed"  # of a plan or a group: more of its legs failed than it tolerates


class StartIf(StrEnum):
    """How a job that another one waits for has to end."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    COMPLETED = "completed"  # in any way
    ALWAYS = "always"  # in any way, too: the word that templates use


class Completion(StrEnum):
    """How much of an ended job was done."""

    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"


class Rollback(StrEnum):
    """What became of what a plan had done, when it was to be taken back."""

    NONE = "none"  # nothing was taken back
    DONE = "done"  # all of it was
    FAILED = "failed"  # a part was given up
    NOT_REVERSIBLE = "not_reversible"  # all that says how; a part of it does not


class Status(IntEnum):
    """SimpleRPC status codes."""

    OK = 0
    ABORTED = 1  # the action exists and could not complete
    UNKNOWN_ACTION = 2
    MISSING_DATA = 3
    INVALID_DATA = 4
    UNKNOWN_ERROR = 5


_S = State
#: from -> to -> when; what is not here cannot happen
MOVES: Mapping[State, Mapping[State, str]] = {
    _S.SCHEDULED: {
        _S.WAITING: "its time came and a guard is unmet",
        _S.QUEUED: "its time came and it was handed to the node",
        _S.SCHEDULED: "moved to another time",
        _S.CANCELLED: "cancelled",
        _S.EXPIRED: "start_before passed",
        _S.PAUSED: "held",
    },
    _S.WAITING: {
        _S.QUEUED: "all guards met; handed to the node",
        _S.SCHEDULED: "moved to a later time",
        _S.SKIPPED: "its dependency ended otherwise than start_if asks",
        _S.CANCELLED: "cancelled",
        _S.EXPIRED: "start_before passed",
        _S.PAUSED: "held",
        _S.FAILED: "a guard can never be met",
    },
    _S.QUEUED: {
        _S.RUNNING: "the node started it",
        _S.CANCELLING: "cancel was asked, and the node may have begun",
        _S.WAITING: "the node gave it back, or it has to be handed over again",
        _S.FAILED: "the node refused it",
        _S.CANCELLED: "cancelled before it was picked up",
        _S.EXPIRED: "start_before passed",
    },
    _S.RUNNING: {
        _S.SUCCEEDED: "ended well",
        _S.FAILED: "ended badly",
        _S.WAITING: "the attempt failed and another is due",
        _S.PAUSED: "a person decides, or the node is lost",
        _S.REVERTING: "failed, and is to be rolled back",
        _S.CANCELLING: "cancel was asked",
    },
    _S.CANCELLING: {
        _S.CANCELLED: "the node confirmed the stop, or it was forced",
        _S.SUCCEEDED: "had ended well before the stop arrived",
        _S.FAILED: "had failed before the stop arrived",
        _S.REVERTING: "cancelled, and is to be rolled back",
    },
    _S.REVERTING: {
        _S.FAILED: "rolled back after a failure",
        _S.CANCELLED: "rolled back after a cancel",
        _S.REVERTING: "a rollback attempt is repeated",
        _S.PAUSED: "rollback attempts are used up",
    },
    _S.PAUSED: {
        _S.WAITING: "resumed, retried, approved or released",
        _S.SCHEDULED: "released before its time",
        _S.REVERTING: "a person asked for rollback",
        _S.SKIPPED: "a person skipped this leg",
        _S.SUCCEEDED: "resolved as succeeded, or the lost run reports success",
        _S.FAILED: "resolved as failed, or the lost run reports failure",
        _S.CANCELLED: "cancelled",
        _S.EXPIRED: "start_before passed while held",
    },
    _S.SUCCEEDED: {},
    _S.FAILED: {},
    _S.CANCELLED: {},
    _S.SKIPPED: {},
    _S.EXPIRED: {},
}


def check_move(old: State, new: State) -> None:
    """Let a legal move pass. Raises InvalidTransition for any other."""
    if new not in MOVES[old]:
        raise InvalidTransition(f"{old} cannot become {new}")


#: the most active state of a job's runs names the job, in this order
_ACTIVITY = (
    State.CANCELLING,
    State.REVERTING,
    State.RUNNING,
    State.QUEUED,
    State.WAITING,
    State.SCHEDULED,
    State.PAUSED,
)

Tally = Counter[State]  #: how many of a job's runs stand in each state


class Terms(NamedTuple):
    """What else says how a job stands, beside how many of its runs or legs stand where."""

    tolerated: int = 0  # so many may end badly
    forgiven: int = 0  # so many ended badly and do not count
    blocked: int = 0  # so many wait for something that has to end first
    called_off: bool = False  # a person cancelled the whole of it
    begun: bool = False  # one of them started
    acts: bool = False  # they are runs of one action, not legs
    reverts: bool = False  # what was done is to be undone, once nothing of it is at work
    undoing: State | None = None  # how that stands


PLAIN = Terms()


def derive(tally: Tally, terms: Terms = PLAIN) -> State:
    """The state of a job whose runs, or legs, stand so.

    What is blocked is no activity: it goes on when others do.
    """
    if terms.undoing is not None:
        return _backwards(terms.undoing, terms)
    idle = Counter({State.WAITING: terms.blocked})
    live = next((state for state in _ACTIVITY if tally[state] > idle[state]), None)
    if live is not None:
        return live
    if tally[State.WAITING]:
        return State.WAITING
    return State.REVERTING if terms.reverts and _has_begun(tally, terms) else _end(tally, terms)


def _has_begun(tally: Tally, terms: Terms) -> bool:
    return terms.begun or tally[State.SUCCEEDED] > 0


def _backwards(undoing: State, terms: Terms) -> State:
    """Where a plan stands that is rolled back: it never goes on, and never succeeds."""
    if undoing.is_terminal:
        return State.CANCELLED if terms.called_off else State.FAILED
    return State.PAUSED if undoing is State.PAUSED else State.REVERTING


def _end(tally: Tally, terms: Terms) -> State:
    bad = tally[State.FAILED] + tally[State.EXPIRED] + tally[State.CANCELLED]
    if terms.called_off and tally[State.CANCELLED]:
        return State.CANCELLED
    if bad - terms.forgiven <= terms.tolerated:
        return _good_end(tally, terms, bad)
    if tally[State.CANCELLED]:
        return State.CANCELLED
    expired = tally[State.EXPIRED] + tally[State.SKIPPED] == tally.total()
    if expired and (not terms.begun or tally.total() == 1):
        return State.EXPIRED
    return State.FAILED


def _good_end(tally: Tally, terms: Terms, bad: int) -> State:
    """Where no more failed than may: it succeeded, unless nothing of it was done at all."""
    if tally[State.SUCCEEDED] or not tally[State.SKIPPED]:
        return State.SUCCEEDED
    if bad > terms.forgiven:
        return State.FAILED
    came_to_something = bad or (terms.begun and not terms.acts)
    return State.SUCCEEDED if came_to_something else State.SKIPPED


def completion(tally: Tally) -> Completion:
    """How much of an ended job was done: by the share of its runs that succeeded."""
    if tally[State.SUCCEEDED] == tally.total():
        return Completion.FULL
    return Completion.PARTIAL if tally[State.SUCCEEDED] else Completion.NONE
