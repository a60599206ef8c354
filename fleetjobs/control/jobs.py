"""Control over jobs: accept what is asked, or refuse it with a reason; never in between."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy import Connection

from fleetjobs.control.picks import pick_nodes
from fleetjobs.crashpoints import crash_point
from fleetjobs.errors import Conflict, Denied, InvalidTime
from fleetjobs.interfaces import Action, Interface
from fleetjobs.jobs import Job, JobId, NodeId
from fleetjobs.messages import Request
from fleetjobs.signing import digest
from fleetjobs.states import State, WaitReason
from fleetjobs.store.bells import CHANGES, DISPATCH
from fleetjobs.store.database import Database, ring
from fleetjobs.store.jobs import get_job, insert_job, job_meaning
from fleetjobs.store.nodes import interface_digests, read_interfaces

DELIVER_AHEAD = timedelta(hours=1)  #: a job lies in its nodes' spools that long before its time
START_WITHIN = timedelta(hours=24)  #: if the caller sets no `start_before`
FORESEEABLE = timedelta(days=3660)  #: times farther away are mistakes


@dataclass(frozen=True, slots=True)
class Submission:
    """The job that stands for a request."""

    job: Job
    created: bool  # False: the same request was accepted before


@dataclass(frozen=True, slots=True)
class Control:
    """The desk where jobs are handed in; safe to use from any thread."""

    database: Database
    clock: Callable[[], datetime]
    _interfaces: dict[str, Interface] = field(default_factory=dict)  # by digest, so never outdated

    def submit(self, sealed: str, request: Request, *, org: str) -> Submission:
        """Keep a request, whose seal was checked, as a job of the org; durable on return.

        The same id again with the same wish is the same job, whatever the fleet is by now.
        Raises Refused: Conflict, Denied, InvalidTime, InvalidTarget, NoNodes, UnknownAgent,
        UnknownAction, MissingInput, InvalidInput; and DatabaseAway.
        """
        now = self.clock()
        meaning = _meaning(request)
        with self.database.reading() as connection:
            earlier = _earlier(connection, request, meaning, org)
            if earlier is not None:
                return Submission(earlier, created=False)
            times = _times(request, now)
            nodes = pick_nodes(connection, request, org)
            actions = self._actions(connection, request, nodes)
        job = _job(sealed, request, actions, times, now, len(nodes))
        due = now if job.not_before is None else max(now, job.not_before - DELIVER_AHEAD)
        with self.database.transaction() as connection:
            created = insert_job(connection, job, nodes, meaning=meaning, dispatch_at=due)
            if created:
                if due <= now:
                    ring(connection, DISPATCH)
                ring(connection, CHANGES, job.id)
            else:
                earlier = _earlier(connection, request, meaning, org)
            crash_point("control_before_commit")
        crash_point("control_after_commit")
        if created:
            return Submission(job, created=True)
        if earlier is None:
            raise Conflict(f"the id {request.id} was used before")
        return Submission(earlier, created=False)

    def _actions(
        self, connection: Connection, request: Request, nodes: Sequence[NodeId]
    ) -> list[Action]:
        """The action as each of the nodes declares it; the data fits all of them."""
        digests = interface_digests(connection, request.agent, nodes)
        self._interfaces.update(
            read_interfaces(connection, sorted(digests - self._interfaces.keys()))
        )
        actions = [self._interfaces[name].action(request.action) for name in sorted(digests)]
        for action in actions:
            action.check(request.data)
        return actions


def _meaning(request: Request) -> str:
    """What is asked, in one word: the same for a request that is sent, and sealed, again later."""
    timeless = msgspec.structs.replace(request, created_at=datetime.min.replace(tzinfo=UTC))
    return digest(msgspec.json.encode(timeless, order="deterministic"))


def _earlier(connection: Connection, request: Request, meaning: str, org: str) -> Job | None:
    """The job this request became before. Raises Conflict if its id became another."""
    if request.org != org or request.target.org not in {None, org}:
        raise Denied(f"{request.caller} acts in the org {org} alone")
    taken = job_meaning(connection, JobId(request.id))
    if taken is None:
        return None
    if taken != (org, meaning):
        raise Conflict(f"the id {request.id} was used before, for something else")
    return get_job(connection, JobId(request.id), org=org)


@dataclass(frozen=True, slots=True)
class _Times:
    not_before: datetime | None
    start_before: datetime


def _times(request: Request, now: datetime) -> _Times:
    """From when until when the job may start, in UTC. Raises InvalidTime."""
    for name in ("not_before", "start_before"):
        value = getattr(request, name)
        if value is not None and abs(value - now) > FORESEEABLE:
            raise InvalidTime(f"{name} {value} lies more than ten years from now")
    begin = request.not_before and request.not_before.astimezone(UTC)
    end = request.start_before and request.start_before.astimezone(UTC)
    earliest = max(now, begin or now)
    if end is not None and end <= earliest:
        raise InvalidTime(f"start_before {end} leaves no time to start after {earliest}")
    return _Times(begin, end or earliest + START_WITHIN)


def _job(
    sealed: str,
    request: Request,
    actions: Sequence[Action],
    times: _Times,
    now: datetime,
    nodes: int,
) -> Job:
    data = request.data
    for action in actions:
        data = action.masked(data)
    later = times.not_before is not None and times.not_before > now
    state = State.SCHEDULED if later else State.WAITING
    return Job(
        id=JobId(request.id),
        org=request.org,
        caller=request.caller,
        agent=request.agent,
        action=request.action,
        data=data,
        target=request.target,
        sealed=sealed,
        state=state,
        wait_reason=None if later else WaitReason.OUTBOX,
        reason=None,
        tally=Counter({state: nodes}),
        completion=None,
        attention=False,
        created_at=now,
        not_before=times.not_before,
        start_before=times.start_before,
        started_at=None,
        ended_at=None,
    )
