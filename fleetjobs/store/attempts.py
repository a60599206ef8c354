"""Attempts: how often a run is tried, and what came of the tries before the latest."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, literal, select, update

from fleetjobs.jobs import Attempt
from fleetjobs.names import JobId, NodeId
from fleetjobs.states import Reason, State, Status, WaitReason
from fleetjobs.store import dialect
from fleetjobs.store.entries import JobEntry, RunEntry, start_limit
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.schema.runs import attempts, runs
from fleetjobs.store.standing import attempt_limit, path

RETRY_WAIT_MOST = timedelta(hours=1)
DELAY_MOST = timedelta(days=30)  #: an action that asks for more is tried again then
ATTEMPTS_MOST = 1000  #: of one run, however often its action asks for a delay
JITTER = 0.1  #: retries of many runs spread by that share of their wait
Chance = Callable[[], float]  #: a number from 0 up to 1, such as `random.random`

#: asking again unchanged would end the same way
_SETTLED = frozenset(
    {
        *(Reason.USER_ERROR, Reason.INVALID, Reason.DENIED, Reason.UNKNOWN_ACTION),
        *(Reason.RESOURCE_MISSING, Reason.RESOURCE_EXISTS),
        *(Reason.CANCELLED, Reason.START_BEFORE),
    }
)
_MISTAKES = frozenset({Status.UNKNOWN_ACTION, Status.MISSING_DATA, Status.INVALID_DATA})


def may_retry(job: JobEntry, run: RunEntry) -> bool:
    """Whether the run has tries left."""
    return run.tries < job.max_attempts and run.attempt < ATTEMPTS_MOST


def is_worth_retrying(reason: Reason | None, statuscode: int) -> bool:
    """Whether another try could end otherwise."""
    return reason not in _SETTLED and statuscode not in _MISTAKES


def retry_wait(job: JobEntry, tries: int, chance: Chance) -> timedelta:
    """How long after so many failed tries: at once, then ever longer, up to an hour."""
    spread = 1 + JITTER * (2 * chance() - 1)
    return min(timedelta(seconds=job.retry_delay_s * (tries - 1)), RETRY_WAIT_MOST) * spread


def begin_attempt(
    ledger: Ledger,
    run: RunEntry,
    at: datetime,
    *,
    actor: str,
    reason: Reason | None = None,
    costs: bool = True,
    step: str | None = None,
) -> None:
    """Have a new attempt made from then on. The one before has to be kept first.

    With `step` it is one of the run's detour, and not yet another try of the run itself.
    """
    detail = {"attempt": run.attempt + 1, "at": at, **({"step": step} if step else {})}
    way = path(run.state, State.WAITING)
    ledger.move(run, way, actor=actor, wait=WaitReason.RETRY, reason=reason, detail=detail)
    ledger.wait_for(run, WaitReason.RETRY)
    run.change(
        attempt=run.attempt + 1,
        tries=run.tries + (1 if costs else 0),
        next_attempt_at=at,
        step=step,
        **_UNTOLD,
        dispatch_at=at,
    )
    job = ledger.job_of(run)
    run.change(expire_at=attempt_limit(start_limit(job, run), job.give_up_s, run.attempt, at))


_KEPT = tuple(column.name for column in attempts.columns)
_UNTOLD: dict[str, Any] = {
    "generation": 0,
    "pending": None,
    "pending_at": None,
    "order_at": None,
    "ask_at": None,
    "stage": None,
    "queued_at": None,
    "handed_at": None,
    "expire_at": None,
    "started_at": None,
    "ended_at": None,
    "exit_code": None,
    "blocked_by": None,
    "stdout_size": 0,
    "stderr_size": 0,
    "percent": None,
    "doing": "",
}


def save_attempts(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Keep attempts that a node reported; each row has the columns of the table."""
    if rows:
        statement = dialect.insert(connection, attempts).on_conflict_do_nothing()
        connection.execute(statement, rows)


def give_up_attempt(ledger: Ledger, run: RunEntry, reason: Reason) -> None:
    """Keep the latest attempt as failed, with what is known of it; its end may come late."""
    now = ledger.now
    fixed = {"state": State.FAILED, "reason": reason, "late": False, "kept_at": now}
    known = [name for name in _KEPT if name not in fixed]
    values = [literal(value, attempts.c[name].type) for name, value in fixed.items()]
    query = select(*(runs.c[name] for name in known), *values).where(
        runs.c.job == run.job, runs.c.node == run.node
    )
    statement = dialect.insert(ledger.connection, attempts).from_select([*known, *fixed], query)
    ledger.connection.execute(statement.on_conflict_do_nothing())


def is_late_news(connection: Connection, job: JobId, node: NodeId, attempt: int) -> bool:
    """Note the end of an attempt that was given up; False if its end was known already."""
    written = connection.execute(
        update(attempts)
        .where(
            attempts.c.job == bindparam("_job"),
            attempts.c.node == bindparam("_node"),
            attempts.c.attempt == bindparam("_attempt"),
            attempts.c.reason == Reason.LOST,
            attempts.c.late.is_(False),
        )
        .values(late=True),
        {"_job": job, "_node": node, "_attempt": attempt},
    )
    return written.rowcount > 0


_FIELDS = [name for name in Attempt.__slots__ if name != "late"]


def list_attempts(connection: Connection, job: JobId, node: NodeId) -> list[Attempt]:
    """The run's attempts that are over, the first one first."""
    query = select(*(attempts.c[name] for name in Attempt.__slots__)).where(
        attempts.c.job == job, attempts.c.node == node
    )
    kept = connection.execute(query.order_by(attempts.c.attempt)).mappings()
    found = [Attempt(**row) for row in kept]
    query = select(*(runs.c[name] for name in _FIELDS)).where(
        runs.c.job == job, runs.c.node == node, runs.c.ended_at.is_not(None)
    )
    latest = connection.execute(query).mappings().one_or_none()
    return found if latest is None else [*found, Attempt(**latest)]
