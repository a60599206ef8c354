"""Tries: what comes after an attempt that ended, another one or the end of the run."""

from dataclasses import dataclass
from datetime import timedelta

from fleetjobs.messages import Reply
from fleetjobs.states import Reason, State
from fleetjobs.store.attempts import (
    ATTEMPTS_MOST,
    DELAY_MOST,
    Chance,
    is_worth_retrying,
    may_retry,
    retry_wait,
)
from fleetjobs.store.detours import keep_answer, may_repeat, next_step, tries_of_step
from fleetjobs.store.entries import RunEntry, start_limit
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.outbox import SKEW
from fleetjobs.store.standing import UNSTARTED, final_state

AT_ONCE = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """The next attempt of a run."""

    wait: timedelta
    step: str | None = None  # of the run's detour, that it is; None: the leg itself
    costs: bool = False  # whether it uses up one of the run's tries


def next_try(ledger: Ledger, run: RunEntry, reply: Reply, chance: Chance) -> Try | None:
    """What follows the attempt that ended so; None: nothing, the run ends as it did."""
    job = ledger.job_of(run)
    if run.attempt >= ATTEMPTS_MOST:
        return None
    begun = run.state not in UNSTARTED or reply.started_at is not None
    if begun and reply.delay_s is not None and reply.state is not State.SUCCEEDED:
        seconds = min(max(reply.delay_s, 0.0), DELAY_MOST.total_seconds())
        return Try(wait=timedelta(seconds=seconds), step=run.step)
    end = final_state(run.state, reply)
    if end is State.EXPIRED and _has_window_closed(ledger, run):
        until = run.told_until or ledger.now
        return Try(wait=max(until - ledger.now, AT_ONCE), step=run.step)
    if run.step is not None:
        return _after_step(ledger, run, reply, end, chance)
    worth = end is State.FAILED and is_worth_retrying(reply.reason, reply.statuscode)
    cut_short = reply.reason is Reason.INTERRUPTED  # its runner may have died before it could begin
    if not ((begun or cut_short) and worth and may_retry(job, run)):
        return None
    step = next_step(ledger.connection, job, run, answer=reply.data)
    retry = Try(wait=retry_wait(job, run.tries, chance), costs=True)
    return retry if step is None else Try(wait=AT_ONCE, step=step)


def _has_window_closed(ledger: Ledger, run: RunEntry) -> bool:
    """Whether a window alone made it too late to begin: then the run waits for the next one."""
    if run.told_until is None or ledger.now < run.told_until - SKEW:
        return False
    limit = start_limit(ledger.job_of(run), run)
    return limit is None or ledger.now < limit


def _after_step(
    ledger: Ledger, run: RunEntry, reply: Reply, end: State, chance: Chance
) -> Try | None:
    """What follows a step of a detour: the next one, the leg itself, or the same once more."""
    job, connection = ledger.job_of(run), ledger.connection
    if end is State.SUCCEEDED:
        keep_answer(connection, job, run, reply)
        step = next_step(connection, job, run)
        if step is not None:
            return Try(wait=AT_ONCE, step=step)
        return Try(wait=retry_wait(job, run.tries, chance), costs=True)
    worth = end is State.FAILED and is_worth_retrying(reply.reason, reply.statuscode)
    if not (worth and may_repeat(connection, job, run)):
        return None
    tries = tries_of_step(connection, run) + 1
    return Try(wait=retry_wait(job, tries, chance), step=run.step)
