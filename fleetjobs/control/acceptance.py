"""Acceptance: a request weighed against the fleet, and the job it would become."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection

from fleetjobs.access import FLEET, Verb
from fleetjobs.control.picks import pick_nodes
from fleetjobs.control.rights import Register
from fleetjobs.control.rolling import in_order
from fleetjobs.errors import Denied, InvalidDocument, InvalidTime, UnknownDependency
from fleetjobs.interfaces import Action, Interface
from fleetjobs.jobs import Job
from fleetjobs.names import JobId, NodeId
from fleetjobs.plans.documents import PlanRequest
from fleetjobs.requests import Request
from fleetjobs.rollouts import check_rollout
from fleetjobs.signing import digest
from fleetjobs.states import State, WaitReason
from fleetjobs.store.dependencies import judge, named_states
from fleetjobs.store.nodes import interface_digests, read_interfaces
from fleetjobs.store.outbox import START_WITHIN
from fleetjobs.targets import Target

FORESEEABLE = timedelta(days=3660)  #: times farther away are mistakes


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a request comes to: the job, if nothing holds it up, and where it would run."""

    job: Job
    nodes: list[NodeId]
    actions: list[Action]  # as the nodes declare it


Check = Callable[[Action, Mapping[str, Any]], None]  #: of data, as an action declares them


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found out of the fleet for requests that are weighed together, once each."""

    nodes: dict[tuple[str, Target], list[NodeId]] = field(default_factory=dict)
    actions: dict[tuple[str, tuple[NodeId, ...]], list[Interface]] = field(default_factory=dict)
    allowed: set[tuple[str, str, Target]] = field(default_factory=set)  # caller, action, target


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Weighs requests; remembers the interfaces it has read. Safe to use from any thread."""

    rights: Register | None = None  # None: whoever asks may
    _interfaces: dict[str, Interface] = field(default_factory=dict)  # by digest, so never outdated

    def weigh(
        self,
        connection: Connection,
        sealed: str,
        request: Request,
        *,
        org: str,
        now: datetime,
        survey: Survey | None = None,
        check: Check = Action.check,
    ) -> Weighed:
        """The job that the request would be. Raises Refused; see `Control.submit`.

        `check` lets its data pass as the action declares them, or raises.
        """
        check_org(request, org)
        times = _times(request, now)
        if request.rollout is not None:
            check_rollout(request.rollout)
        survey = survey or Survey()
        picked = request.agent, request.target
        if picked not in survey.nodes:
            survey.nodes[picked] = pick_nodes(connection, request, org)
        nodes = survey.nodes[picked]
        self._check_rights(connection, request, org, survey)
        actions = self._actions(connection, request, nodes, survey)
        for action in actions:
            check(action, request.data)
        job = _job(sealed, request, actions, times, now, len(nodes))
        return Weighed(job, in_order(connection, request, nodes, org), actions)

    def _check_rights(
        self, connection: Connection, request: Request, org: str, survey: Survey
    ) -> None:
        """Let the caller pass who may do this on all of the nodes. Raises Denied."""
        task = f"{request.agent}.{request.action}"
        asked = request.caller, task, request.target
        if self.rights is None or asked in survey.allowed:
            return
        nodes = survey.nodes[request.agent, request.target]
        self.rights.check(connection, Verb.RUN, task, caller=request.caller, org=org, nodes=nodes)
        survey.allowed.add(asked)

    def _actions(
        self, connection: Connection, request: Request, nodes: Sequence[NodeId], survey: Survey
    ) -> list[Action]:
        """The action as each of the nodes declares it."""
        asked = request.agent, tuple(nodes)
        if asked not in survey.actions:
            digests = interface_digests(connection, request.agent, nodes)
            self._interfaces.update(
                read_interfaces(connection, sorted(digests - self._interfaces.keys()))
            )
            survey.actions[asked] = [self._interfaces[name] for name in sorted(digests)]
        return [interface.action(request.action) for interface in survey.actions[asked]]


def check_org(request: Request | PlanRequest, org: str) -> None:
    """Let a request pass that stays in its org. Raises Denied."""
    target = request.target if isinstance(request, Request) else request.plan.target
    if request.org != org or (target.org not in {None, org} and org != FLEET):
        raise Denied(f"{request.caller} acts in the org {org} alone")


def meaning_of(request: Request | PlanRequest) -> str:
    """What is asked, in one word: the same for a request that is sent, and sealed, again later."""
    timeless = msgspec.structs.replace(request, created_at=datetime.min.replace(tzinfo=UTC))
    return digest(msgspec.json.encode(timeless, order="deterministic"))


def has_to_wait(connection: Connection, request: Request, org: str) -> bool:
    """Whether a job it names has not ended as wished; those are locked until the end.

    Raises UnknownDependency, InvalidDocument.
    """
    names = [(item.job, item.node) for item in request.after]
    if len(set(names)) < len(names):
        raise InvalidDocument("a job to wait for is named twice")
    states = named_states(connection, request.after, org=org)
    for item, state in states:
        if state is None:
            where = "" if item.node is None else f" with a run on {item.node}"
            raise UnknownDependency(f"there is no job {item.job}{where} to wait for")
    return not all(judge(state, item.when) for item, state in states if state is not None)


@dataclass(frozen=True, slots=True)
class _Times:
    not_before: datetime | None
    start_before: datetime | None


def check_times(begin: datetime | None, end: datetime | None, now: datetime) -> None:
    """Let times pass at which something can begin, from one until the other. Raises InvalidTime."""
    for name, value in (("not_before", begin), ("start_before", end)):
        if value is not None and abs(value - now) > FORESEEABLE:
            raise InvalidTime(f"{name} {value} lies more than ten years from now")
    earliest = max(now, begin or now)
    if end is not None and end <= earliest:
        told = end.isoformat(timespec="seconds")
        if end <= now:
            raise InvalidTime(f"start_before {told} has passed")
        from_ = earliest.isoformat(timespec="seconds")
        raise InvalidTime(f"start_before {told} leaves no time to start after {from_}")


def _times(request: Request, now: datetime) -> _Times:
    """From when until when the job may start, in UTC. Raises InvalidTime."""
    check_times(request.not_before, request.start_before, now)
    begin = request.not_before and request.not_before.astimezone(UTC)
    end = request.start_before and request.start_before.astimezone(UTC)
    splay = timedelta(seconds=request.splay_s)
    _check_splay(request, max(now, begin or now), end)
    if request.rollout is not None:  # each batch has its own time, from when its turn has come
        return _Times(begin, end)
    if request.keep:
        if end is not None:
            raise InvalidTime(f"start_before {end} and keep exclude each other")
        return _Times(begin, None)
    return _Times(begin, end or max(now, begin or now) + splay + START_WITHIN)


def _check_splay(request: Request, begin: datetime, end: datetime | None) -> None:
    """Let a spread of the nodes pass that leaves each of them time to begin. Raises InvalidTime."""
    if not request.splay_s:
        return
    if request.rollout is not None:
        raise InvalidTime("splay and batches exclude each other: each says which nodes begin when")
    last = begin + timedelta(seconds=request.splay_s)
    if end is not None and end <= last:
        raise InvalidTime(f"start_before {end} comes before the last nodes are to begin, at {last}")


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
    later = bool(request.splay_s) or (times.not_before is not None and times.not_before > now)
    state = State.SCHEDULED if later else State.WAITING
    own = min(action.max_attempts for action in actions)
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
        tally=Counter({state: nodes}),
        created_at=now,
        not_before=times.not_before,
        start_before=times.start_before,
        max_attempts=own if request.retries is None else request.retries + 1,
        retry_delay_s=max(action.retry_delay.total_seconds() for action in actions),
        lost_after_s=max(action.lost_after.total_seconds() for action in actions),
        retry_lost=all(action.retry_lost for action in actions),
        give_up_s=None if request.keep else patience_s(actions),
        priority=request.priority,
        splay_s=request.splay_s,
        inline=all(action.inline for action in actions),
        window_only=_window_only(actions),
    )


def _window_only(actions: Sequence[Action]) -> bool | None:
    """The strictest of what its nodes declare."""
    found = {action.window_only for action in actions}
    return next((each for each in (True, None, False) if each in found), None)


def patience_s(actions: Sequence[Action]) -> float | None:
    """How long a lost node is waited for, in seconds; None: for ever."""
    spans = [action.give_up for action in actions if action.give_up is not None]
    if len(spans) < len(actions):
        return None
    return max(span.total_seconds() for span in spans)
