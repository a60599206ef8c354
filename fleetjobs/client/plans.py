"""Plans: handing one in, and a handle on what became of it."""

from datetime import datetime
from itertools import islice
from typing import Any

import msgspec

from fleetjobs.client.asking import JOSE, JSON, aim, send, signing_key, utc_now
from fleetjobs.client.conditions import AT_ONCE, Conditions
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.jobs import Job, new_id
from fleetjobs.client.replies import Document
from fleetjobs.client.transport import Query
from fleetjobs.documents import encode
from fleetjobs.errors import InvalidPlan
from fleetjobs.plans.canvas import read_canvas
from fleetjobs.plans.documents import Plan, PlanRequest
from fleetjobs.plans.shapes import arrange
from fleetjobs.targets import Target


class PlanJob(Job):
    """A plan that was accepted: a job made of legs."""

    def __repr__(self) -> str:
        return f"<PlanJob {self.id} {self.document['state']} {self.percent}>"

    def legs(self) -> list[Document]:
        """Its legs and groups as they stand, each after what it needs."""
        return list(self._fleet.legs(self.id))

    def runs_of(self, leg: str, query: Query = (), most: int | None = None) -> list[Document]:
        """Runs of one of its legs, which is named by its id."""
        return list(islice(self._fleet.runs(leg, query=query), most))

    def leg(self, key: str) -> Job:
        """One leg: a job of its own. Raises InvalidPlan if there is none of that key."""
        for found in self.legs():
            if found["key"] == key:
                return Job(self._fleet, self._fleet.job(found["id"]))
        raise InvalidPlan(f"the plan has no leg {key!r:.70}")


def make_plan(
    work: Any,
    *,
    target: Target | None = None,
    now: datetime | None = None,
    **fields: Any,
) -> Plan:
    """A plan, of a canvas, of the document of a plan, or of a plan itself; checked and aimed.

    `target`: of the legs that name none. `fields` replace the plan's own: name, on_failure,
    max_failures, priority, rollback_attempts; None changes nothing. Raises InvalidPlan naming
    the leg.
    """
    from fleetjobs.client.canvas import as_json, is_canvas  # late: few plans are canvases

    if is_canvas(work):
        plan = read_canvas(as_json(work), now=now or utc_now())
        _check_targets(plan, target)
    else:
        plan = _convert(work)
    given = {name: value for name, value in fields.items() if value is not None}
    if "max_failures" in given:
        given["max_failures"] = str(given["max_failures"])
    plan = _aimed(_convert({**msgspec.to_builtins(plan), **given}), target)
    arrange(plan)
    return plan


def _convert(work: Any) -> Plan:
    try:
        return msgspec.convert(msgspec.to_builtins(work), Plan)
    except (msgspec.ValidationError, TypeError) as error:
        raise InvalidPlan(f"this is no plan, and no canvas: {error}") from None


def _check_targets(plan: Plan, target: Target | None) -> None:
    """A signature made without rpcclient has none: it must not mean the whole fleet unnoticed."""
    bare = next((leg.key for leg in plan.legs if leg.target is None), None)
    if bare is not None and target is None:
        raise InvalidPlan(
            f"{bare} has no target: make its signature with rpcclient(...).action.s(),"
            " or give submit a target"
        )


def _aimed(plan: Plan, target: Target | None) -> Plan:
    """Every leg with its own target or else the plan's, less the nodes without its agent."""
    whole = plan.target if target is None else target
    legs = tuple(
        msgspec.structs.replace(leg, target=aim(leg.target or whole, leg.agent))
        for leg in plan.legs
    )
    return msgspec.structs.replace(plan, legs=legs, target=whole)


def submit_plan(
    fleet: Fleet, plan: Plan, conditions: Conditions = AT_ONCE, *, name: str | None = None
) -> Document:
    """Hand a plan in under that id, or a new one; the job that was accepted.

    Raises Problem, ServerAway, InvalidSetting; InvalidPlan for conditions that a plan cannot have.
    Signed by the profile's key if it has one, else the server signs. Sent again for a few seconds
    while the server is away: the id is the same, so it is the same plan.
    """
    if conditions.after or conditions.retries is not None:
        raise InvalidPlan("a plan waits for no other job and is not retried as a whole; legs are")
    profile, name = fleet.transport.profile, name or new_id()
    if profile.key_path is None:
        body, kind = _as_body(plan, conditions, name=name), JSON
    else:
        request = PlanRequest(
            id=name,
            org=profile.org,
            caller=profile.account,
            plan=plan,
            created_at=utc_now(),
            not_before=conditions.not_before,
            start_before=conditions.start_before,
        )
        body, kind = signing_key(profile).seal(encode(request)).encode(), JOSE
    return send(fleet, "plans", body=body, content_type=kind)


def check_plan(fleet: Fleet, plan: Plan, conditions: Conditions = AT_ONCE) -> Document:
    """What the plan would be: its legs with nodes, what is in its way. Nothing is kept."""
    body = _as_body(plan, conditions)
    found: Document = fleet.transport.post("plans", "check", body=body, content_type=JSON)
    return found


def _as_body(plan: Plan, wanted: Conditions = AT_ONCE, *, name: str | None = None) -> bytes:
    """The plan as a server takes it without a signature."""
    moments = {"not_before": wanted.not_before, "start_before": wanted.start_before}
    document = {"id": name, "plan": plan, **moments}
    given = {key: value for key, value in document.items() if value is not None}
    return msgspec.json.encode(given)
