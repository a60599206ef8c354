"""Wiring: which runs wait for which, by what a leg needs and where the legs run."""

from collections.abc import Collection, Iterator

from fleetjobs.jobs import Dependency, JobId, Link, NodeId
from fleetjobs.states import StartIf


def wire(
    job: JobId, nodes: Collection[NodeId], link: Link, on_nodes: Collection[NodeId]
) -> Iterator[Dependency]:
    """What a leg on these nodes waits for, by one of its links, to a leg on those.

    Each node goes its own pace where both have it; one that the earlier leg does not have waits
    for all of that. `on_nodes` is empty for a group, which is waited for as a whole.
    """
    shared = frozenset() if link.barrier else frozenset(nodes) & frozenset(on_nodes)
    if not shared:
        yield _dependency(job, None, link.job, None, link.when)
        return
    for node in nodes:
        yield _dependency(job, node, link.job, node if node in shared else None, link.when)


def _dependency(
    job: JobId, node: NodeId | None, on_job: JobId, on_node: NodeId | None, when: StartIf
) -> Dependency:
    return Dependency(job=job, node=node, on_job=on_job, on_node=on_node, when=when, met=False)
