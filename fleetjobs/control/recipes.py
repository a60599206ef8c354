"""Recipes: what would take the legs of a plan back, weighed and signed when it is accepted.

A rollback may come days later, by a coordinator that was just killed: then nothing has to be
looked up, asked or signed, and nothing about it can be refused any more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from fleetjobs.control.acceptance import Weighed
from fleetjobs.declarations import Undo
from fleetjobs.errors import InvalidPlan, Refused
from fleetjobs.interfaces import Action, Interface
from fleetjobs.plans.documents import Leg, OnFailure, PlanRequest
from fleetjobs.plans.references import find_references, is_plain
from fleetjobs.plans.shapes import leg_id
from fleetjobs.plans.undoing import Recipe, undoing_data, undoing_id
from fleetjobs.requests import Request
from fleetjobs.undos import check_undo

Weigh = Callable[[str, Request], Weighed]  #: a sealed request against the fleet


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipes:
    """Makes the recipes of one plan."""

    request: PlanRequest
    seal: Callable[[Request], str]
    weigh: Weigh

    def of_leg(
        self, leg: Leg, asked: Request, weighed: Weighed, interfaces: list[Interface]
    ) -> Any:
        """What takes the leg back, as its row keeps it; None: nothing does.

        Raises InvalidPlan if the plan asks for a rollback, and this part of it cannot be meant.
        """
        try:
            recipe = self._recipe(leg, asked, weighed, interfaces)
        except Refused as refused:
            if self._is_wanted(leg):
                raise InvalidPlan(f"{leg.key}: its undo: {refused}") from None
            return None
        return None if recipe is None else msgspec.to_builtins(recipe)

    def _is_wanted(self, leg: Leg) -> bool:
        policy = leg.on_failure or self.request.plan.on_failure
        return policy is OnFailure.ROLLBACK

    def _recipe(
        self, leg: Leg, asked: Request, weighed: Weighed, interfaces: list[Interface]
    ) -> Recipe | None:
        undo = _undo_of(leg, weighed.actions)
        if undo is None:
            is_harmless = leg.undo == "nothing" or all(one.reversible for one in weighed.actions)
            return Recipe() if is_harmless else None
        for action, interface in zip(weighed.actions, interfaces, strict=True):
            check_undo(str(action), undo, action, interface.actions.get(undo.action))
        return self._made(leg, undo, asked, weighed.actions[0])

    def _made(self, leg: Leg, undo: Undo, asked: Request, undone: Action) -> Recipe:
        data = undoing_data(undo, leg, undone)
        request = msgspec.structs.replace(
            asked,
            id=undoing_id(self.request.id, leg.key),
            action=undo.action,
            data=data,
            not_before=None,
            start_before=None,
            keep=True,
            retries=None,
        )
        sealed = self.seal(request)
        job = self.weigh(sealed, request).job
        named = {one.text: leg_id(self.request.id, one.leg) for one in find_references(data)}
        return Recipe(
            action=undo.action,
            data=job.data,
            sealed=sealed,
            fills=None if is_plain(data) else {text: str(job) for text, job in named.items()},
            partial=undo.partial,
            only_if=undo.only_if,
            max_attempts=self.request.plan.rollback_attempts,
            retry_delay_s=job.retry_delay_s,
            lost_after_s=job.lost_after_s,
            retry_lost=job.retry_lost,
        )


def _undo_of(leg: Leg, actions: list[Action]) -> Undo | None:
    """What the leg says, or else what its action declares. Raises InvalidPlan."""
    if leg.undo is not None:
        return leg.undo if isinstance(leg.undo, Undo) else None
    undo = actions[0].undo
    if any(action.undo != undo for action in actions):
        raise InvalidPlan("its nodes have versions of the agent that are undone differently")
    return undo
