"""Drafts: a plan weighed against the fleet, and all the jobs that it would be."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from fleetjobs.control.acceptance import (
    Acceptance,
    Survey,
    Weighed,
    check_org,
    check_times,
    meaning_of,
    patience_s,
)
from fleetjobs.control.detours import Detours, Known
from fleetjobs.control.gathering import gather, take_over
from fleetjobs.control.recipes import Recipes
from fleetjobs.control.rolling import roll_out
from fleetjobs.control.wiring import link, links_of, wire
from fleetjobs.errors import InvalidPlan, Refused
from fleetjobs.inputs import InputType
from fleetjobs.jobs import Dependency, Job, Kind, Link
from fleetjobs.names import JobId
from fleetjobs.plans.checks import check_data, output_type
from fleetjobs.plans.documents import Leg, Need, OnFailure, PlanRequest, RetryMode
from fleetjobs.plans.references import Reference, is_plain
from fleetjobs.plans.shapes import Placed, Shape, arrange, leg_id
from fleetjobs.requests import Request
from fleetjobs.shares import share_of
from fleetjobs.states import State, WaitReason
from fleetjobs.store.plans import Part, Successes
from fleetjobs.store.standing import due_at, latest

Seal = Callable[[Request], str]  #: signs in the caller's stead


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A plan as it would be kept."""

    shape: Shape
    parts: Sequence[Part]  # the plan first; then each group before what is in it
    links: Sequence[Dependency]
    firsts: Mapping[str, Weighed]  # the legs that need no other, by key


@dataclass(slots=True, kw_only=True)
class Drawing:
    """Draws one plan up; used once."""

    acceptance: Acceptance
    connection: Connection
    sealed: str
    request: PlanRequest
    org: str
    seal: Seal
    now: datetime
    done: Mapping[str, Successes] = field(
        default_factory=dict
    )  # by leg: what succeeded before, and is taken over
    survey: Survey = field(default_factory=Survey)
    requests: dict[str, Request] = field(default_factory=dict)  # by the leg's key
    weighed: dict[str, Weighed] = field(default_factory=dict)  # likewise
    undos: dict[str, dict[str, Any] | None] = field(default_factory=dict)  # likewise

    def draw(self) -> Draft:
        """The plan and all its parts. Raises Refused naming the leg: InvalidPlan and others."""
        check_org(self.request, self.org)
        check_times(self.request.not_before, self.request.start_before, self.now)
        shape = arrange(self.request.plan)
        for placed in shape.legs:
            try:
                self._weigh(placed)
            except Refused as refused:
                why = str(refused).removeprefix(f"{placed.leg.key}: ")
                again = type(refused)(f"leg {placed.leg.key}: {why}")
                if place := getattr(refused, "field", None):
                    vars(again)["field"] = f"legs.{placed.leg.key}.{place}"
                raise again from None
        legs = self._with_detours(shape, [self._leg(placed) for placed in shape.legs])
        return Draft(
            shape=shape,
            parts=gather(self._whole(), self._groups(shape), legs),
            links=[link for placed in shape.legs for link in self._links(placed)],
            firsts={
                placed.leg.key: self.weighed[placed.leg.key]
                for placed in shape.legs
                if not placed.needs
            },
        )

    def _weigh(self, placed: Placed) -> None:
        leg = placed.leg
        request = self._request(placed)
        weighed = self._weigh_request(self.seal(request), request)
        self.requests[leg.key], self.weighed[leg.key] = request, weighed
        for reference in placed.references:
            self._check_reference(leg, reference)
        interfaces = self.survey.actions[request.agent, tuple(weighed.nodes)]
        recipes = Recipes(request=self.request, seal=self.seal, weigh=self._weigh_request)
        self.undos[leg.key] = recipes.of_leg(leg, request, weighed, interfaces)

    def _weigh_request(self, sealed: str, request: Request) -> Weighed:
        return self.acceptance.weigh(
            self.connection,
            sealed,
            request,
            org=self.org,
            now=self.now,
            survey=self.survey,
            check=lambda action, data: check_data(action, data, self._type),
        )

    def _request(self, placed: Placed) -> Request:
        """What the nodes are to be asked, in the caller's name."""
        leg, plan = placed.leg, self.request
        not_before, start_before = leg.not_before, leg.start_before
        if not placed.needs:
            delay = timedelta(seconds=leg.delay_s)
            start = latest(plan.not_before, self.now) if delay else plan.not_before
            not_before = latest(leg.not_before, start and start + delay)
            start_before = start_before or (plan.start_before and plan.start_before + delay)
        return Request(
            id=leg_id(plan.id, leg.key),
            org=plan.org,
            caller=plan.caller,
            agent=leg.agent,
            action=leg.action,
            data=leg.data,
            target=leg.target or plan.plan.target,
            created_at=plan.created_at,
            not_before=not_before,
            start_before=start_before,
            keep=bool(placed.needs) and start_before is None,
            retries=leg.retries,
            rollout=leg.rollout,
            priority=plan.plan.priority if leg.priority is None else leg.priority,
        )

    def _check_reference(self, leg: Leg, reference: Reference) -> None:
        """What is referred to can be there, as far as anybody can tell beforehand."""
        named = self.weighed[reference.leg]
        if len(named.nodes) == 1:
            return
        lone = sorted(set(self.weighed[leg.key].nodes) - set(named.nodes))
        if lone:
            raise InvalidPlan(
                f"{reference} means what {reference.leg} answers on the same node, "
                f"and it is not on {lone[0]}; to be meant from elsewhere it has to have one node"
            )

    def _type(self, reference: Reference) -> InputType | None:
        """What an earlier leg answers there, as its nodes declare it. Raises InvalidPlan."""
        actions = self.weighed[reference.leg].actions
        kinds = [output_type(reference, action) for action in actions]
        return kinds[0]

    def _leg(self, placed: Placed) -> Part:
        leg, weighed = placed.leg, self.weighed[placed.leg.key]
        free, count = not placed.needs, len(weighed.nodes)
        job = dataclasses.replace(
            weighed.job,
            **({} if free else _blocked(count)),
            **self._place(leg.key, leg.group),
            needs=tuple(self._link(need) for need in placed.needs),
            fills=None if is_plain(leg.data) else self._fills(placed),
            on_failure=leg.on_failure or self.request.plan.on_failure,
            max_failures=share_of(count, leg.max_failures),
            delay_s=0.0 if free else leg.delay_s,
            weight=leg.weight,
            give_up_s=patience_s(weighed.actions),
            undo=self.undos[leg.key],
        )
        due = due_at(job.not_before, self.now) if free else None
        part = Part(
            job=job,
            meaning=meaning_of(self.requests[leg.key]),
            nodes=weighed.nodes,
            dispatch_at=due,
        )
        part = take_over(part, self.done.get(leg.key, {}), self.now)
        pauses = part.job.on_failure == OnFailure.PAUSE
        rolled = roll_out(part.job, part.nodes, leg.rollout, pauses=pauses)
        return part if rolled is part.job else dataclasses.replace(part, job=rolled)

    def _with_detours(self, shape: Shape, legs: list[Part]) -> list[Part]:
        """The same, and what is to be done before those that ask for it are tried again."""
        asking = {
            placed.leg.key: placed.leg
            for placed in shape.legs
            if placed.leg.retry_mode != RetryMode.AS_IS
        }
        if not asking:
            return legs
        known = {part.job.leg: part for part in legs}
        detours = Detours(
            shape=shape,
            legs=lambda key: Known(known[key].job, self.weighed[key].nodes),
            seal=self.seal,
        )
        for key, leg in asking.items():
            try:
                detour = detours.of_leg(key, leg.retry_mode, leg.rollback_to)
            except InvalidPlan as refused:
                raise InvalidPlan(f"leg {key}: {refused}") from None
            job = dataclasses.replace(known[key].job, detour=detour)
            known[key] = dataclasses.replace(known[key], job=job)
        return list(known.values())

    def _fills(self, placed: Placed) -> dict[str, JobId]:
        return {one.text: leg_id(self.request.id, one.leg) for one in placed.references}

    def _link(self, need: Need) -> Link:
        return link(self.request.id, need, self.weighed)

    def _links(self, placed: Placed) -> Iterator[Dependency]:
        """Which of its runs wait for which."""
        key = placed.leg.key
        job, nodes = leg_id(self.request.id, key), self.weighed[key].nodes
        for to in links_of(self.request.id, placed, self.weighed):
            on_nodes = self.weighed[to.leg].nodes if to.leg in self.weighed else ()
            yield from wire(job, nodes, to, on_nodes)

    def _place(self, key: str, group: str | None) -> dict[str, Any]:
        plan = JobId(self.request.id)
        parent = plan if group is None else leg_id(plan, group)
        return {"plan": plan, "parent": parent, "leg": key}

    def _whole(self) -> Part:
        plan = self.request.plan
        names = [part.key for part in (*plan.groups, *plan.legs) if part.group is None]
        job = self._above(Kind.PLAN, plan.title, share_of(len(names), plan.max_failures))
        job = dataclasses.replace(
            job,
            id=JobId(self.request.id),
            sealed=self.sealed,
            target=plan.target,
            on_failure=plan.on_failure,
            not_before=self.request.not_before,
            start_before=self.request.start_before,
        )
        return Part(job=job, meaning=meaning_of(self.request))

    def _groups(self, shape: Shape) -> Iterator[Part]:
        for group in shape.groups:
            allowed = share_of(len(shape.members[group.key]), group.max_failures)
            job = self._above(Kind.GROUP, group.key, allowed)
            needs = tuple(self._link(need) for need in group.needs)
            place = self._place(group.key, group.group)
            job = dataclasses.replace(
                job, id=leg_id(self.request.id, group.key), needs=needs, **place
            )
            yield Part(job=job, meaning="")

    def _above(self, kind: Kind, name: str, max_failures: int) -> Job:
        """A plan or a group before it knows its legs."""
        return Job(
            id=JobId(""),
            org=self.org,
            caller=self.request.caller,
            agent=kind,
            action=name,
            data={},
            target=self.request.plan.target,
            sealed="",
            state=State.WAITING,
            wait_reason=None,
            reason=None,
            tally=Counter(),
            completion=None,
            attention=False,
            created_at=self.now,
            not_before=None,
            start_before=None,
            started_at=None,
            ended_at=None,
            kind=kind,
            max_failures=max_failures,
            priority=self.request.plan.priority,
        )


def _blocked(runs: int) -> dict[str, Any]:
    """How a leg of so many runs stands while others have to end first."""
    return {
        "state": State.WAITING,
        "wait_reason": WaitReason.DEPENDENCY,
        "tally": Counter({State.WAITING: runs}),
        "blocked": runs,
    }
