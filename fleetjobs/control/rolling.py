"""Rolling: a job that goes over its nodes batch after batch, before it is kept."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection

from fleetjobs.jobs import Job
from fleetjobs.names import NodeId
from fleetjobs.requests import Request
from fleetjobs.rollouts import FACT, Rollout, begin, order_nodes
from fleetjobs.states import State, WaitReason
from fleetjobs.store.nodes import list_nodes


def in_order(
    connection: Connection, request: Request, nodes: Sequence[NodeId], org: str
) -> list[NodeId]:
    """The nodes in the order that the request wants them to come."""
    rollout = request.rollout
    if rollout is None:
        return list(nodes)
    facts = {}
    if rollout.order.startswith(FACT):
        found = list_nodes(connection, org)
        facts = {node.identity: node.facts for node in found}
    places = {name: place for place, name in enumerate(request.target.identities)}
    listed = sorted(nodes, key=lambda node: places.get(node, len(places)))
    return order_nodes(listed, rollout, facts, seed=request.id)


def roll_out(
    job: Job, nodes: Sequence[NodeId], rollout: Rollout | None, *, pauses: bool = False
) -> Job:
    """The job with its nodes dealt out to batches, of which the first may begin.

    What its budget allows to fail does not make it fail either. `pauses`: rather than to stop.
    """
    if rollout is None or not nodes or job.state.is_terminal:
        return job
    course = begin(len(nodes), rollout, pauses=pauses)
    job = dataclasses.replace(
        job, rollout=course, max_failures=max(job.max_failures, course.max_failures)
    )
    if job.wait_reason is WaitReason.DEPENDENCY:
        return job
    later = len(nodes) - course.sizes[0]
    tally = Counter(job.tally)
    tally[job.state] -= later
    tally[State.WAITING] += later
    return dataclasses.replace(job, tally=+tally, blocked=later)
