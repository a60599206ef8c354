"""Plans: a desk for them, and makers of what is handed in there."""

from typing import Any

from fleetjobs.documents import encode
from fleetjobs.jobs import Job
from fleetjobs.names import JobId
from fleetjobs.plans.documents import Leg, Plan, PlanRequest
from fleetjobs.plans.shapes import leg_id
from fleetjobs.states import State
from fleetjobs.targets import Target
from tests.desk import KEY, Desk
from tests.makers import NOW, ORG, make_reply, new_id


def make_leg(key: str, *nodes: str, **changes: Any) -> Leg:
    """A leg of demo.echo on these nodes."""
    fields: dict[str, Any] = {
        "key": key,
        "agent": "demo",
        "action": "echo",
        "data": {"text": key},
        "target": Target(identities=nodes) if nodes else None,
    }
    return Leg(**fields | changes)


def make_plan_request(*legs: Leg, **changes: Any) -> PlanRequest:
    """A plan of these legs, of alice's."""
    of_plan = {name: value for name, value in changes.items() if name in Plan.__struct_fields__}
    rest = {name: value for name, value in changes.items() if name not in of_plan}
    plan = rest.pop("plan", None) or Plan(legs=legs, **of_plan)
    fields: dict[str, Any] = {
        "id": new_id(),
        "org": ORG,
        "caller": "alice",
        "plan": plan,
        "created_at": NOW,
    }
    return PlanRequest(**fields | rest)


class PlanDesk(Desk):
    """A desk at which plans are handed in."""

    def plan(self, *legs: Leg, **changes: Any) -> JobId:
        """Hand in a plan of these legs."""
        return self.hand_in_plan(make_plan_request(*legs, **changes))

    def hand_in_plan(self, request: PlanRequest) -> JobId:
        """The plan of this request."""
        made = self.control.plans.submit(
            KEY.seal(encode(request)),
            request,
            org=ORG,
            seal=lambda asked: KEY.seal(encode(asked)),
        )
        plan = made.job.id
        parts = (*request.plan.legs, *request.plan.groups)
        self.ours |= {plan, *(leg_id(plan, part.key) for part in parts)}
        return plan

    def leg(self, plan: JobId, key: str) -> Job:
        """How a leg, or a group, of the plan stands."""
        return self.job(leg_id(plan, key))

    def states(self, plan: JobId, *keys: str) -> list[State]:
        """How the plan's legs stand."""
        return [self.leg(plan, key).state for key in keys]

    def handed(self) -> list[tuple[str, str]]:
        """Hand over what is due: the keys of legs, and their nodes."""
        found = [(JobId(job), node) for job, node, *_ in self.hand_over()]
        return [(self.job(job).leg or "", node) for job, node in found]

    def succeed(self, plan: JobId, key: str, *nodes: str, **changes: Any) -> None:
        """The leg ends well on these nodes, in one batch."""
        self.say(*(make_reply(leg_id(plan, key), node, **changes) for node in nodes))

    def lose(self, plan: JobId, key: str, *nodes: str, **changes: Any) -> None:
        """The leg ends badly on these nodes, in one batch."""
        bad = {"state": State.FAILED, "statuscode": 1}
        self.say(*(make_reply(leg_id(plan, key), node, **bad | changes) for node in nodes))
