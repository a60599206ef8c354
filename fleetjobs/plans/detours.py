"""Detours: what a run does before it is tried again, legs undone and done once more.

Its steps are attempts of the run that failed, on the same node, one after the other: so nothing
that has ended is ended again, and one row of the database says how far it has come.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from fleetjobs.errors import InvalidPlan
from fleetjobs.plans.documents import Need, Pace
from fleetjobs.plans.shapes import Placed, Shape
from fleetjobs.plans.undoing import PREFIX
from fleetjobs.states import StartIf

REDO = "redo:"  #: before the key of a leg that is done once more
STEPS_MOST = 64  #: of one detour
Kept = list[dict[str, Any]] | None  #: a detour as the database keeps it


class Step(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the things to be done first."""

    name: str  # undo:KEY or redo:KEY
    task: str  # agent.action
    sealed: str  # the request, under the name of the leg that is to be tried again
    fills: dict[str, str] | None = None  # reference -> the leg whose answer it means
    only_if: str | None = None  # an output of the leg; unless it is true, there is nothing to undo
    attempts: int = 1  # how often it is tried

    @property
    def undoes(self) -> bool:
        """Whether it takes something back, rather than do it again."""
        return self.name.startswith(PREFIX)

    @property
    def leg(self) -> str:
        """The key of the leg that it undoes, or does again."""
        return self.name.partition(":")[2]


def read_steps(kept: Kept) -> tuple[Step, ...]:
    """The steps of a detour, in their order; none of a leg that is tried again as it is."""
    return () if kept is None else msgspec.convert(kept, tuple[Step, ...])


def step_named(kept: Kept, name: str) -> Step:
    """That step. Raises LookupError if there is none."""
    for step in read_steps(kept):
        if step.name == name:
            return step
    raise LookupError(f"there is no step {name!r} before another try")


def steps_after(kept: Kept, name: str | None) -> tuple[Step, ...]:
    """What is to be done after that step; all of it if the leg itself was last (None)."""
    steps = read_steps(kept)
    names = [step.name for step in steps]
    return steps if name is None or name not in names else steps[names.index(name) + 1 :]


def undone_at(names: Sequence[str], at: str) -> set[str]:
    """The keys of legs that are undone, and not done again, while that step is taken.

    A leg that is being done again is none of them: it may be done by half.
    """
    taken = names[: names.index(at)] if at in names else []
    back = {name.removeprefix(PREFIX) for name in taken if name.startswith(PREFIX)}
    return back - {name.removeprefix(REDO) for name in [*taken, at] if name.startswith(REDO)}


def way_back(shape: Shape, leg: str, keys: Iterable[str]) -> list[str]:
    """The legs that are undone before that one is tried again: those named, and all up to it.

    In the order in which they are done. Raises InvalidPlan if they cannot be undone by one node
    for itself, or under the hands of a leg beside them.
    """
    before, beyond = set(shape.preceding(leg)), {leg, *shape.following(leg)}
    wanted = set(keys)
    missing = sorted(wanted - before)
    if missing:
        raise InvalidPlan(f"rollback_to {missing[0]}: no leg of that name comes before {leg}")
    reached = wanted.union(*(shape.following(key) for key in wanted))
    beside = sorted(reached - before - beyond)
    if beside:
        raise InvalidPlan(
            f"rollback_to: {beside[0]} is built on the same legs and may be at work by then;"
            f" let {leg} need it"
        )
    again = reached & before
    for placed in shape.legs:
        if placed.leg.key in again | {leg}:
            _check_pace(shape, placed, again)
    return [placed.leg.key for placed in shape.legs if placed.leg.key in again]


def _check_pace(shape: Shape, placed: Placed, again: set[str]) -> None:
    """Between legs that are done again each node goes its own pace, step by step."""
    for need in placed.needs:
        if need.leg in again and _is_own_pace(need):
            continue
        if need.leg in again or again.intersection(_inside(shape, need.leg)):
            raise InvalidPlan(
                f"rollback_to: {placed.leg.key} needs {need.leg} {need.when}, on all nodes"
                " together or otherwise than by its success; a node can go back by itself only"
            )


def _is_own_pace(need: Need) -> bool:
    return need.pace is Pace.NODE and need.when is StartIf.SUCCEEDED


def _inside(shape: Shape, group: str) -> set[str]:
    found: set[str] = set()
    todo = [group]
    while todo:
        members = shape.members.get(todo.pop(), ())
        found.update(members)
        todo.extend(members)
    return found
