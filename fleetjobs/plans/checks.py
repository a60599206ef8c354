"""Checks: a plan against the interfaces of the agents it asks, before anything is started."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fleetjobs.declarations import Undo
from fleetjobs.errors import InvalidPlan, Refused
from fleetjobs.inputs import InputType
from fleetjobs.interfaces import Action, Interface
from fleetjobs.plans.documents import Leg
from fleetjobs.plans.references import (
    DATA,
    Reference,
    fill,
    find_references,
)
from fleetjobs.plans.shapes import Shape
from fleetjobs.undos import check_undo

_NUMBERS = frozenset({InputType.INTEGER, InputType.FLOAT, InputType.NUMBER})
_TEXTS = frozenset({InputType.STRING, InputType.LIST})
_NESTED = frozenset({InputType.HASH, InputType.ARRAY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a leg could not be carried out as it stands."""

    leg: str
    code: str  # an error's code
    detail: str


def find_problems(shape: Shape, interfaces: Mapping[str, Interface]) -> list[Problem]:
    """All that the interfaces say against the plan, leg by leg; `interfaces` are by agent."""
    actions: dict[str, Action] = {}
    found: list[Problem] = []
    for placed in shape.legs:
        leg = placed.leg
        try:
            interface = _interface(leg, interfaces)
            actions[leg.key] = action = interface.action(leg.action)
            check_data(action, leg.data, lambda one: output_type(one, actions.get(one.leg)))
            if isinstance(leg.undo, Undo):
                check_undo(str(action), leg.undo, action, interface.actions.get(leg.undo.action))
        except Refused as refused:
            found.append(Problem(leg=leg.key, code=refused.code, detail=str(refused)))
    return found


def _interface(leg: Leg, interfaces: Mapping[str, Interface]) -> Interface:
    if leg.agent not in interfaces:
        raise InvalidPlan(f"no node has an agent {leg.agent!r}")
    return interfaces[leg.agent]


#: the type of what a reference names, None where nobody says; raises InvalidPlan for nothing
Typing = Callable[[Reference], InputType | None]


def check_data(action: Action, data: Mapping[str, Any], typed: Typing) -> None:
    """Let a leg's data pass that may fit, as far as it is known before anything has begun.

    `typed` tells what references lead to. Raises InvalidPlan, MissingInput or InvalidInput.
    """
    references = {name: find_references(value) for name, value in data.items()}
    later = {name for name, found in references.items() if found}
    action.check(
        {name: value if name in later else fill(value, {}) for name, value in data.items()},
        later=later,
    )
    for name in sorted(later):
        value, declared = data[name], action.inputs.get(name)
        kinds = {one: typed(one) for one in references[name]}
        if isinstance(value, str) and declared is not None:
            whole = next((one for one in kinds if str(one) == value), None)
            kind = InputType.STRING if whole is None else kinds[whole]
            if kind is not None and not _fits(kind, declared.type):
                what = f"a text with {references[name][0]} in it" if whole is None else f"{whole}"
                raise InvalidPlan(f"{action} takes {declared.type} as {name}; {what} is {kind}")
        _check_inside_texts(value, kinds)


def _check_inside_texts(value: Any, kinds: Mapping[Reference, InputType | None]) -> None:
    """An object or a list cannot stand inside a longer text."""
    nested = [one for one, kind in kinds.items() if kind in _NESTED]
    todo = [value] if nested else []
    while todo:
        item = todo.pop()
        if isinstance(item, Mapping):
            todo.extend(item.values())
        elif isinstance(item, list | tuple):
            todo.extend(item)
        elif isinstance(item, str):
            for one in nested:
                if str(one) in item.replace("$${", "") and str(one) != item:
                    raise InvalidPlan(f"{one} is {kinds[one]}, which cannot stand inside a text")


def _fits(kind: InputType, wanted: InputType) -> bool:
    """Whether a value of a kind may do; numbers may turn out whole, texts to be in the list."""
    if InputType.ANY in (kind, wanted) or kind is wanted:
        return True
    return {kind, wanted} <= _NUMBERS or {kind, wanted} <= _TEXTS


def output_type(reference: Reference, action: Action | None) -> InputType | None:
    """The type of what an action answers there; None if nobody says. Raises InvalidPlan.

    `action` is None if it is not known; that was told elsewhere.
    """
    if reference.source != DATA:
        return InputType.STRING
    if action is None:
        return None
    if not reference.path:
        return InputType.HASH
    name, *below = reference.path
    if name not in action.outputs:
        there = ", ".join(action.outputs) or "none"
        raise InvalidPlan(
            f"{reference}: {action} answers no {name[:70]!r}; its outputs are: {there}"
        )
    kind = action.outputs[name].type
    if not below:
        return kind
    if kind is not None and kind not in _NESTED and kind is not InputType.ANY:
        raise InvalidPlan(f"{reference}: {name} is {kind}, there is nothing below it")
    return None
