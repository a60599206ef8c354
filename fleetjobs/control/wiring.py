"""Wiring: which runs wait for which, by what a leg needs and where the legs run."""

from collections.abc import Collection, Container, Iterator

from fleetjobs.jobs import Dependency, Link
from fleetjobs.names import JobId, NodeId
from fleetjobs.plans.documents import Need, Pace
from fleetjobs.plans.shapes import Placed, leg_id
from fleetjobs.states import StartIf


def link(plan: str, need: Need, legs: Container[str]) -> Link:
    """A need as a link to the job that it names; `legs` are the keys of all legs."""
    barrier = need.pace is Pace.BARRIER or need.leg not in legs
    return Link(job=leg_id(plan, need.leg), leg=need.leg, when=need.when, barrier=barrier)


def links_of(plan: str, placed: Placed, legs: Container[str]) -> Iterator[Link]:
    """What a leg waits for: what it needs, and the end of what it refers to besides."""
    needed = {need.leg for need in placed.needs}
    more = sorted({one.leg for one in placed.references} - needed)
    for need in (*placed.needs, *(Need(leg=key, when=StartIf.COMPLETED) for key in more)):
        yield link(plan, need, legs)


def wire(
    job: JobId, nodes: Collection[NodeId], to: Link, on_nodes: Collection[NodeId]
) -> Iterator[Dependency]:
    """What a leg on these nodes waits for, by one of its links, to a leg on those.

    Each node goes its own pace where both have it; one that the earlier leg does not have waits
    for all of that. `on_nodes` is empty for a group, which is waited for as a whole.
    """
    shared = frozenset() if to.barrier else frozenset(nodes) & frozenset(on_nodes)
    if not shared:
        yield _dependency(job, None, to.job, None, to.when)
        return
    for node in nodes:
        yield _dependency(job, node, to.job, node if node in shared else None, to.when)


def _dependency(
    job: JobId, node: NodeId | None, on_job: JobId, on_node: NodeId | None, when: StartIf
) -> Dependency:
    return Dependency(job=job, node=node, on_job=on_job, on_node=on_node, when=when, met=False)
