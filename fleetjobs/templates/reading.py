"""Reading: the text of a template, and the work that it comes to with values for its parameters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from fleetjobs.errors import InvalidInput, InvalidPlan
from fleetjobs.inputs import Input
from fleetjobs.plans.documents import Leg, Plan
from fleetjobs.plans.markup import LIMIT
from fleetjobs.plans.reading import WrittenPlan, read_plan
from fleetjobs.plans.references import fill
from fleetjobs.schedules.documents import Call, Work

LABEL = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
LONGEST = min(LIMIT, 1024 * 1024)  #: characters of a template's text
_NAMELESS = "plan"  #: what a plan is called that says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What a template comes to."""

    work: Work  # a call or a plan
    hidden: frozenset[tuple[str, str]]  # leg and input that hold a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A template as it was written."""

    label: str
    text: str
    plan: WrittenPlan

    @property
    def parameters(self) -> Mapping[str, Input]:
        """What it leaves open."""
        return self.plan.parameters

    def fill(self, given: Mapping[str, Any]) -> Filled:
        """The work with these values, and the defaults of the others.

        Raises MissingInput, InvalidInput and InvalidPlan.
        """
        plan = msgspec.structs.replace(self.plan.fill(given), name=self.label)
        hidden: frozenset[tuple[str, str]] = frozenset()
        if self.plan.secrets & given.keys():
            shown = msgspec.structs.replace(self.plan.masked(given), name=self.label)
            hidden = _find_hidden(plan, shown)
        if not self.plan.is_single:
            return Filled(work=Work(plan=plan), hidden=hidden)
        leg = plan.legs[0]
        call = Call(
            agent=leg.agent,
            action=leg.action,
            data={name: fill(value, {}) for name, value in leg.data.items()},  # `$${` is `${`
            target=leg.target or plan.target,
            retries=leg.retries,
            priority=leg.priority,
        )
        return Filled(work=Work(call=call), hidden=hidden)


def read_template(text: str, origin: str, label: str | None = None) -> Written:
    """The template in a text, called so, or as it calls itself, or after its file.

    Raises InvalidPlan naming file and line, InvalidInput for a label that cannot be one.
    """
    if len(text) > LONGEST:
        raise InvalidPlan(f"{origin}: {len(text)} characters are too long; {LONGEST} are allowed")
    plan = read_plan(text, origin)
    named = None if plan.name == _NAMELESS else plan.name
    label = label or named or origin.rpartition("/")[2].partition(".")[0]
    if not LABEL.match(label):
        wrong = InvalidInput(
            f"{origin}: {label[:70]!r} cannot be the label of a template;"
            " it is letters, digits, dots, dashes and _"
        )
        wrong.field = "label"
        raise wrong
    return Written(label=label, text=text, plan=plan)


def check_template(written: Written) -> None:
    """Let pass what may be kept: whatever its values are, its legs fit. Raises InvalidPlan."""
    written.plan.check()


def _find_hidden(plan: Plan, shown: Plan) -> frozenset[tuple[str, str]]:
    """Where a secret stands: the plan beside the same with something else in its place.

    Raises InvalidPlan if that is anywhere but in the data of legs.
    """
    if _bare(plan) != _bare(shown):
        raise InvalidPlan("a secret parameter may stand in the data of a leg, nowhere else")
    return frozenset(
        (leg.key, name)
        for leg, other in zip(plan.legs, shown.legs, strict=True)
        for name, value in leg.data.items()
        if other.data.get(name) != value
    )


def _bare(plan: Plan) -> Plan:
    """The plan, its legs with the names of their inputs alone."""

    def bare(leg: Leg) -> Leg:
        return msgspec.structs.replace(leg, data=dict.fromkeys(leg.data))

    return msgspec.structs.replace(plan, legs=tuple(bare(leg) for leg in plan.legs))


def masked(written: Written, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they may be shown."""
    return {name: "***" if name in written.plan.secrets else given[name] for name in given}
