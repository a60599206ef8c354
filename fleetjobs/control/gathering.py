"""Gathering: groups and a plan as they stand by what is in them, before any of it is kept."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from fleetjobs.jobs import Job, Kind
from fleetjobs.names import JobId
from fleetjobs.plans.progress import done as done_of
from fleetjobs.states import Completion, State, Tally, Terms, WaitReason, derive
from fleetjobs.store.plans import Part, Successes


def take_over(part: Part, done: Successes, now: datetime) -> Part:
    """The leg with runs that have succeeded already."""
    if not done:
        return part
    job, left = part.job, [node for node in part.nodes if node not in done]
    tally = Counter({job.state: len(left), State.SUCCEEDED: len(part.nodes) - len(left)})
    state = derive(tally)
    over = state.is_terminal
    job = dataclasses.replace(
        job,
        state=state,
        wait_reason=None if over else job.wait_reason,
        tally=+tally,
        blocked=len(left) if job.blocked else 0,
        completion=Completion.FULL if over else None,
        started_at=now if over else None,
        ended_at=now if over else None,
        percent=100.0 if over else None,
    )
    kept = {node: done[node] for node in part.nodes if node in done}
    return dataclasses.replace(part, job=job, nodes=left, done=kept)


def gather(plan: Part, groups: Iterator[Part], legs: Sequence[Part]) -> list[Part]:
    """All parts in the order they are shown, each knowing what is in it."""
    above = {part.job.id: part for part in (plan, *groups)}
    inside: dict[JobId, list[JobId]] = defaultdict(list)
    found = above | {part.job.id: part for part in legs}
    for part in found.values():
        if part.job.parent is not None:
            inside[part.job.parent].append(part.job.id)
    for name in reversed(above):  # the innermost first
        job = _filled(above[name].job, [found[one].job for one in inside[name]])
        found[name] = dataclasses.replace(above[name], job=job)
    return _in_order(found, plan.job.id, legs)


def _in_order(found: Mapping[JobId, Part], plan: JobId, legs: Sequence[Part]) -> list[Part]:
    """The legs as they come; a group before the first that is in it."""
    order = dict.fromkeys([plan])
    for part in legs:
        way = [part.job.id]
        while (parent := found[way[-1]].job.parent) is not None and parent not in order:
            way.append(parent)
        order |= dict.fromkeys(reversed(way))
    return [found[name] for name in order]


def _filled(job: Job, members: Sequence[Job]) -> Job:
    """A plan or a group as it stands by its legs, none of which has begun."""
    tally: Tally = Counter(member.state for member in members)
    blocked = sum(member.wait_reason is WaitReason.DEPENDENCY for member in members)
    weights = sum(member.weight for member in members)
    state = derive(tally, Terms(blocked=blocked))
    if state.is_terminal:  # all of it was taken over
        job = dataclasses.replace(
            job,
            completion=Completion.FULL,
            percent=100.0,
            started_at=members[0].started_at,
            ended_at=members[0].ended_at,
        )
    wait = None
    if state is State.WAITING:
        wait = WaitReason.DEPENDENCY if blocked == len(members) else WaitReason.OUTBOX
    return dataclasses.replace(
        job,
        state=state,
        wait_reason=wait,
        tally=tally,
        blocked=blocked,
        weights=weights,
        weight=weights,
        progress=sum(member.weight * _done(member) for member in members),
    )


def _done(job: Job) -> float:
    if job.kind is Kind.ACTION:
        return done_of(job.state, job.tally, job.progress)
    return job.progress / job.weights
