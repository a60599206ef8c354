"""Detours: what is to be done before a leg is tried again, weighed and signed beforehand.

As what takes a plan back is: when a try has failed, nothing has to be looked up or signed.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from fleetjobs.documents import decode
from fleetjobs.errors import InvalidPlan
from fleetjobs.jobs import Job
from fleetjobs.names import JobId, NodeId
from fleetjobs.plans.detours import REDO, STEPS_MOST, Kept, Step, way_back
from fleetjobs.plans.documents import RetryMode
from fleetjobs.plans.shapes import Shape
from fleetjobs.plans.undoing import PREFIX, Recipe
from fleetjobs.requests import Request
from fleetjobs.signing import peek


@dataclass(frozen=True, slots=True)
class Known:
    """A leg, and where it runs."""

    job: Job
    nodes: Collection[NodeId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detours:
    """Makes the detours of the legs of one plan."""

    shape: Shape
    legs: Callable[[str], Known]  # by key
    seal: Callable[[Request], str]  # signs in the caller's name

    def of_leg(self, key: str, mode: RetryMode, keys: Iterable[str] = ()) -> Kept:
        """The detour as the leg's row keeps it; None: there is none. Raises InvalidPlan."""
        if mode == RetryMode.AS_IS:
            return None
        own = self.legs(key)
        again = way_back(self.shape, key, keys) if mode == RetryMode.ROLLBACK_TO else []
        legs = [self.legs(one) for one in again]
        for leg in legs:
            lone = sorted(set(own.nodes) - set(leg.nodes))
            if lone:
                raise InvalidPlan(f"rollback_to: {leg.job.leg} is not on {lone[0]}, where {key} is")
        steps = [*self._undo_itself(own.job, mode)]
        for leg in reversed(legs):
            steps += self._undo(leg.job, own.job.id)
        steps += [self._redo(leg.job, own.job.id) for leg in legs]
        if len(steps) > STEPS_MOST:
            raise InvalidPlan(
                f"{mode}: {len(steps)} steps back and forth are too many; {STEPS_MOST} are allowed"
            )
        return [msgspec.to_builtins(step) for step in steps] or None

    def _undo_itself(self, own: Job, mode: RetryMode) -> list[Step]:
        """What the failed try did by half."""
        recipe = _recipe(own)
        if mode == RetryMode.ROLLBACK_SELF:
            if recipe is None:
                raise InvalidPlan(f"rollback_self: nothing takes {own.leg} back; give it an undo")
            if recipe.action and not recipe.partial:
                raise InvalidPlan(
                    f"rollback_self: what undoes {own.leg} is for what has succeeded;"
                    " only an undo with partial: true can be done after a failure"
                )
        return [] if recipe is None or not recipe.partial else self._undo(own, own.id)

    def _undo(self, leg: Job, under: JobId) -> list[Step]:
        recipe = _recipe(leg)
        if recipe is None:
            raise InvalidPlan(f"rollback_to: nothing takes {leg.leg} back; give it an undo")
        if not recipe.action:
            return []
        return [
            Step(
                name=f"{PREFIX}{leg.leg}",
                task=f"{leg.agent}.{recipe.action}",
                sealed=self._sealed(recipe.sealed, under),
                fills=recipe.fills,
                only_if=recipe.only_if,
                attempts=recipe.max_attempts,
            )
        ]

    def _redo(self, leg: Job, under: JobId) -> Step:
        return Step(
            name=f"{REDO}{leg.leg}",
            task=f"{leg.agent}.{leg.action}",
            sealed=self._sealed(leg.sealed, under),
            fills=None
            if leg.fills is None
            else {text: str(job) for text, job in leg.fills.items()},
            attempts=leg.max_attempts,
        )

    def _sealed(self, sealed: str, under: JobId) -> str:
        """The same request under the name of the leg that takes the detour.

        A plan that is merely tried has no sealed requests, and needs none.
        """
        if not sealed:
            return ""
        changes: dict[str, Any] = {"not_before": None, "start_before": None, "rollout": None}
        request = decode(Request, peek(sealed))
        return self.seal(msgspec.structs.replace(request, id=under, keep=True, **changes))


def _recipe(leg: Job) -> Recipe | None:
    return None if leg.undo is None else msgspec.convert(leg.undo, Recipe)
