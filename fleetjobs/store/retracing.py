"""Retracing: in which order legs are undone, told by who waited for whom when they were done."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

from fleetjobs.names import JobId, NodeId


class Place(NamedTuple):
    """A leg on one node, or as a whole."""

    job: JobId
    node: NodeId | None


Waits = Sequence[tuple[NodeId | None, Place]]  #: on which node, None: the whole; and who


@dataclass(frozen=True, slots=True, kw_only=True)
class Retracing:
    """The way that a plan went, seen from its end."""

    nodes: Mapping[JobId, frozenset[NodeId]]  # where each leg is undone
    full: AbstractSet[JobId]  # the legs that are undone wherever they are
    waited: Mapping[JobId, Waits]  # who waited for each leg or group
    above: Mapping[JobId, JobId]  # the plan or group that a leg or group is in

    def before(self, place: Place) -> list[Place]:
        """What has to be undone before the leg is, on that node.

        All that waited for it; behind a leg with nothing to undo there, what waited for that.
        """
        found: dict[Place, None] = {}
        seen: set[Place] = {place}
        todo = [place]
        while todo:
            for next_one in self._after(todo.pop()):
                if next_one in seen:
                    continue
                seen.add(next_one)
                undone = self.nodes.get(next_one.job, frozenset())
                if next_one.node in undone or (next_one.node is None and undone):
                    found[next_one] = None
                if next_one.job not in self.full and next_one.node not in undone:
                    todo.append(next_one)
        return _without_doubles(list(found), place)

    def _after(self, place: Place) -> Iterator[Place]:
        """Who waited for it itself, or for a group that it is in."""
        for on_node, who in self.waited.get(place.job, ()):
            if place.node is None or on_node in {None, place.node}:
                yield who
        group = self.above.get(place.job)
        while group is not None:
            for _, who in self.waited.get(group, ()):
                yield who
            group = self.above.get(group)


def _without_doubles(found: list[Place], place: Place) -> list[Place]:
    """Single nodes are left out where the whole leg has to be undone first, and the leg itself."""
    whole = {one.job for one in found if one.node is None}
    return [
        one for one in found if one.job != place.job and (one.node is None or one.job not in whole)
    ]
