"""Rewiring: what a leg may refer to and who waits for whom, once it was changed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec
from sqlalchemy import Connection

from fleetjobs.control.wiring import links_of, wire
from fleetjobs.errors import Conflict, InvalidPlan
from fleetjobs.inputs import InputType
from fleetjobs.jobs import Dependency, Job, Link
from fleetjobs.messages import After, decode
from fleetjobs.names import JobId, NodeId
from fleetjobs.plans.checks import output_type
from fleetjobs.plans.detours import way_back
from fleetjobs.plans.documents import PlanRequest, RetryMode
from fleetjobs.plans.references import Reference, find_references, is_plain
from fleetjobs.plans.shapes import Placed, Shape, arrange, leg_id
from fleetjobs.shares import share_of
from fleetjobs.signing import peek
from fleetjobs.store.dependencies import blocked_runs, judge, named_states, replace_links
from fleetjobs.store.jobs import get_job
from fleetjobs.store.judging import release, skip_in_vain
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.nodes import find_interface
from fleetjobs.store.runs import nodes_of


@dataclass(frozen=True, slots=True)
class Bearings:
    """Where a leg stands in its plan."""

    plan: JobId
    org: str
    shape: Shape
    placed: Placed

    @classmethod
    def of(cls, connection: Connection, job: Job) -> "Bearings | None":
        """Of the leg; None of a job that is none. Raises Conflict if the plan is gone."""
        if job.plan is None:
            return None
        plan = get_job(connection, job.plan, org=job.org)
        if plan is None:
            raise Conflict(f"{job.id} has lost its plan")
        shape = arrange(decode(PlanRequest, peek(plan.sealed)).plan)
        placed = next(one for one in shape.legs if one.leg.key == job.leg)
        return cls(job.plan, job.org, shape, placed)

    def type_of(self, connection: Connection, reference: Reference) -> InputType | None:
        """What a leg before answers there, as most nodes declare it. Raises InvalidPlan."""
        key = self.placed.leg.key
        if reference.leg not in self.shape.preceding(key):
            raise InvalidPlan(f"{key}: {reference} names no leg that comes before it")
        leg = next(one.leg for one in self.shape.legs if one.leg.key == reference.leg)
        interface = find_interface(connection, leg.agent, self.org)
        return output_type(reference, interface.action(leg.action) if interface else None)

    def check_way_back(self) -> None:
        """Let a change pass of a leg that is in nobody's way back. Raises Conflict.

        What is undone and done again before another try was signed with the plan.
        """
        key = self.placed.leg.key
        for leg in (one.leg for one in self.shape.legs):
            if leg.retry_mode == RetryMode.AS_IS:
                continue
            if key in {leg.key, *way_back(self.shape, leg.key, leg.rollback_to)}:
                raise Conflict(
                    f"{key} is undone before {leg.key} is tried again ({leg.retry_mode}), as it was"
                    " asked for; cancel the plan and ask anew"
                )

    def adapt(self, job: Job, nodes: int) -> Job:
        """The leg as it would be on so many nodes with these data."""
        return replace(
            job,
            fills=self._fills(job),
            max_failures=share_of(nodes, self.placed.leg.max_failures),
        )

    def _fills(self, job: Job) -> dict[str, JobId] | None:
        data = msgspec.json.decode(peek(job.sealed))["data"]
        if is_plain(data):
            return None
        return {one.text: leg_id(self.plan, one.leg) for one in find_references(data)}

    def rewire(self, ledger: Ledger, nodes: list[NodeId]) -> None:
        """Have the leg, which is on these nodes now, wait and be waited for anew."""
        own = leg_id(self.plan, self.placed.leg.key)
        connection = ledger.connection
        replace_links(connection, own, None, self._met(connection, self._own(connection, nodes)))
        for other in self.shape.legs:
            links = [link for link in self._links(other) if link.job == own]
            if links:
                waiting = leg_id(self.plan, other.leg.key)
                there = nodes_of(connection, waiting)
                wires = [one for link in links for one in wire(waiting, there, link, nodes)]
                replace_links(connection, waiting, own, wires)
        skip_in_vain(ledger, own)
        names = {(own, node) for node in nodes}
        for job, node in sorted(names - blocked_runs(connection, names)):
            run = ledger.run(job, node)
            if run is not None:
                release(ledger, run)

    def _own(self, connection: Connection, nodes: list[NodeId]) -> Iterator[Dependency]:
        own = leg_id(self.plan, self.placed.leg.key)
        for link in self._links(self.placed):
            yield from wire(own, nodes, link, nodes_of(connection, link.job))

    def _links(self, placed: Placed) -> Iterator[Link]:
        return links_of(self.plan, placed, {one.leg.key for one in self.shape.legs})

    def _met(self, connection: Connection, wires: Iterator[Dependency]) -> list[Dependency]:
        found = list(wires)
        asked = [After(job=one.on_job, node=one.on_node, when=one.when) for one in found]
        states = named_states(connection, asked)
        return [
            replace(one, met=bool(state is not None and judge(state, one.when)))
            for one, (_, state) in zip(found, states, strict=True)
        ]
