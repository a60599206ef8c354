"""Rewiring: what a leg may refer to and who waits for whom, once it was changed."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec
from sqlalchemy import Connection

from fleetjobs.control.wiring import links_of, wire
from fleetjobs.documents import decode
from fleetjobs.errors import Conflict, InvalidPlan
from fleetjobs.inputs import InputType
from fleetjobs.jobs import Dependency, Job, Link
from fleetjobs.names import JobId, NodeId
from fleetjobs.plans.checks import output_type
from fleetjobs.plans.detours import way_back
from fleetjobs.plans.documents import PlanRequest, RetryMode
from fleetjobs.plans.references import Reference, find_references, is_plain, read_reference
from fleetjobs.plans.shapes import Placed, Shape, arrange, leg_id
from fleetjobs.requests import After
from fleetjobs.shares import share_of
from fleetjobs.signing import peek
from fleetjobs.store.dependencies import blocked_runs, judge, named_states, replace_links
from fleetjobs.store.jobs import get_job
from fleetjobs.store.judging import release, skip_in_vain
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.nodes import find_interface
from fleetjobs.store.plans import Fills, references_of
from fleetjobs.store.runs import nodes_of


@dataclass(frozen=True, slots=True)
class Bearings:
    """Where a leg stands in its plan."""

    plan: JobId
    org: str
    shape: Shape
    placed: Placed
    before: Job  # the leg as it was

    @property
    def id(self) -> JobId:
        """The leg's."""
        return self.before.id

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
        return cls(job.plan, job.org, shape, placed, job)

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

    def refers_anew(self, fills: Fills | None) -> bool:
        """Whether it refers to a leg that it did not refer to before."""
        return bool(set((fills or {}).values()) - set((self.before.fills or {}).values()))

    def check_nodes(self, connection: Connection, nodes: list[NodeId], fills: Fills | None) -> None:
        """Let it be on these nodes, if what it refers to, and what refers to it, can be meant.

        As when a plan is accepted: on the same node, unless the other leg has one node alone.
        Raises InvalidPlan.
        """
        key = self.placed.leg.key
        for text, job in (fills or {}).items():
            _check_same(key, nodes, text, nodes_of(connection, job))
        for leg, (other, known) in references_of(connection, self.plan).items():
            texts = [text for text, job in known.items() if job == self.id]
            if texts and leg != self.id:
                _check_same(other, nodes_of(connection, leg), texts[0], nodes)

    def rewire(self, ledger: Ledger, nodes: list[NodeId], fills: Fills | None) -> None:
        """Have the leg, which is on these nodes now, wait and be waited for anew."""
        own, connection = self.id, ledger.connection
        known = references_of(connection, self.plan)
        referring = {leg: texts for leg, (_, texts) in known.items()} | {own: fills or {}}
        links = {
            leg_id(self.plan, one.leg.key): self._links(one, referring) for one in self.shape.legs
        }
        wires = self._own(connection, nodes, links.pop(own))
        replace_links(connection, own, None, self._met(connection, wires))
        for waiting, to in links.items():
            mine = [link for link in to if link.job == own]
            if mine:
                there = nodes_of(connection, waiting)
                found = [one for link in mine for one in wire(waiting, there, link, nodes)]
                replace_links(connection, waiting, own, self._met(connection, found))
        skip_in_vain(ledger, own)
        names = {(own, node) for node in nodes}
        for job, node in sorted(names - blocked_runs(connection, names)):
            run = ledger.run(job, node)
            if run is not None:
                release(ledger, run)

    def _own(
        self, connection: Connection, nodes: list[NodeId], links: Iterable[Link]
    ) -> Iterator[Dependency]:
        for link in links:
            yield from wire(self.id, nodes, link, nodes_of(connection, link.job))

    def _links(self, placed: Placed, referring: Mapping[JobId, Fills]) -> list[Link]:
        """What a leg waits for, by what it needs and by what it refers to now."""
        texts = referring.get(leg_id(self.plan, placed.leg.key), {})
        placed = replace(placed, references=tuple(read_reference(text) for text in texts))
        return list(links_of(self.plan, placed, {one.leg.key for one in self.shape.legs}))

    def _met(self, connection: Connection, wires: Iterable[Dependency]) -> list[Dependency]:
        found = list(wires)
        asked = [After(job=one.on_job, node=one.on_node, when=one.when) for one in found]
        states = named_states(connection, asked)
        return [
            replace(one, met=bool(state is not None and judge(state, one.when)))
            for one, (_, state) in zip(found, states, strict=True)
        ]


def _check_same(key: str, nodes: Collection[NodeId], text: str, there: Collection[NodeId]) -> None:
    """Let a leg on these nodes refer to one on those. Raises InvalidPlan."""
    lone = sorted(set(nodes) - set(there))
    if len(there) != 1 and lone:
        leg = read_reference(text).leg
        raise InvalidPlan(
            f"{key}: ${{{text}}} means what {leg} answers on the same node, and it would not be on"
            f" {lone[0]}; to be meant from elsewhere it has to have one node"
        )
