"""Standing: through which states a run or a job passes, decided without a database."""

from collections import deque
from datetime import datetime, timedelta
from functools import cache

from fleetjobs.messages import Reply, Stage
from fleetjobs.states import LIVE, MOVES, TERMINAL, State, Tally, Terms, derive

UNSTARTED = frozenset({State.SCHEDULED, State.WAITING, State.QUEUED})
_ENDS = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.EXPIRED})
#: may be passed through unseen, the harmless first: a job that is given back never ran
_ON_THE_WAY = (State.QUEUED, State.WAITING, State.RUNNING, State.CANCELLING)
_RANKS = {None: 0, Stage.ACCEPTED: 1, Stage.STARTED: 2, Stage.FINISHED: 3}
ANSWER_TIME = timedelta(minutes=5)  #: for a node to say in time that it did start in time
SOON = timedelta(seconds=10)  #: what is due sooner rings: who waits for bells sleeps less long
DELIVER_AHEAD = timedelta(minutes=59)  #: a job lies in its nodes' spools that long before its time


def due_at(not_before: datetime | None, now: datetime) -> datetime:
    """When a run that starts no sooner than `not_before` is to be handed over."""
    return now if not_before is None else max(now, not_before - DELIVER_AHEAD)


def attempt_limit(
    start_before: datetime | None, give_up_s: float | None, attempt: int, begins_at: datetime
) -> datetime | None:
    """Until when an attempt may start; None: whenever its node comes for it.

    The first by the word of its job. A later one is due when the one before has failed, which may
    be after that, and has as long as a lost node: nobody waits for it for ever without wanting to.
    """
    if attempt == 1 or start_before is None or give_up_s is None:
        return start_before if attempt == 1 else None
    return begins_at + timedelta(seconds=give_up_s)


def latest(*moments: datetime | None) -> datetime | None:
    """The latest of those that are given."""
    return max(filter(None, moments), default=None)


def is_news(told: Stage | None, stage: Stage) -> bool:
    """Whether a node that has told one stage of an attempt tells more by the other."""
    return _RANKS[stage] > _RANKS[told]


def reply_path(state: State, reply: Reply) -> tuple[State, ...]:
    """The states a live run passes through by this reply, its own not included.

    A reply may overtake the note that the run was handed over, and short runs tell only their end.
    """
    if reply.stage is Stage.ACCEPTED:
        return path(state, State.QUEUED) if state in UNSTARTED else ()
    if reply.stage is Stage.STARTED:
        unstarted = state in UNSTARTED or state is State.PAUSED
        return path(state, State.RUNNING) if unstarted else ()
    end = final_state(state, reply)
    begun = reply.started_at is not None or end is State.SUCCEEDED
    if state in UNSTARTED:
        first = path(state, State.RUNNING if begun else State.QUEUED)
        return (*first, *path(first[-1] if first else state, end))
    return path(state, end)


def final_state(state: State, reply: Reply) -> State:
    """The terminal state a finished attempt came to; what makes no sense counts as failed."""
    if reply.state is None or reply.state not in _ENDS:
        return State.FAILED
    if state is State.CANCELLING and (reply.state is State.EXPIRED or reply.delay_s is not None):
        return State.CANCELLED  # it will not begin, or begin again
    begun = state not in UNSTARTED or reply.started_at is not None
    if reply.state is State.EXPIRED and begun:
        return State.FAILED  # nothing that has begun can be too late to begin
    return reply.state


def job_path(state: State, tally: Tally, terms: Terms, *, begins: bool) -> tuple[State, ...]:
    """The states a job passes through, now that its runs or legs stand so; its own not included.

    A job of several runs that has begun goes on running until all of them ended: derived from the
    live runs alone it would fall back to `queued` whenever none happens to be at work. But it
    waits when nothing of it can go on. It is cancelling when all that is live of it is. `begins`:
    one of its runs started just now.
    """
    new = derive(tally, terms)
    if new is State.CANCELLING and any(tally[one] for one in LIVE - {new}):
        new = derive(Tally({one: count for one, count in tally.items() if one is not new}), terms)
    if new is State.CANCELLING and terms.reverts and not terms.called_off:
        new = State.RUNNING  # nobody called the whole off
    live = sum(tally[one] for one in LIVE)
    if terms.begun and new in UNSTARTED and tally.total() > 1 and terms.blocked < live:
        new = State.RUNNING
    if new is state or (new not in TERMINAL and not _reaches(state, new)):
        return ()
    if begins and state in UNSTARTED and new is not State.RUNNING:
        return (*path(state, State.RUNNING), *path(State.RUNNING, new))
    return path(state, new)


@cache
def path(old: State, new: State) -> tuple[State, ...]:
    """The shortest way of legal moves, without `old`; straight on if there is none."""
    ways: deque[tuple[State, ...]] = deque([(old,)])
    while ways and old is not new:
        way = ways.popleft()
        if new in MOVES[way[-1]]:
            return (*way[1:], new)
        ways.extend(
            (*way, state) for state in _ON_THE_WAY if state in MOVES[way[-1]] and state not in way
        )
    return () if old is new else (new,)


def _reaches(old: State, new: State) -> bool:
    return new in MOVES[(old, *path(old, new))[-2]]
