"""Undoing: what takes a leg of a plan back, made ready before the leg begins.

An interface says it in its own words, `${data.name}` and `${reply.path}`. A plan says it as it
says everything: what the leg was given stands there, and what it answered is a reference.
"""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

from msgspec import Struct

from fleetjobs.declarations import Undo
from fleetjobs.interfaces import Action
from fleetjobs.names import JobId
from fleetjobs.plans.documents import Leg
from fleetjobs.plans.references import DATA, LEGS, find_references
from fleetjobs.undos import REFERENCE

PREFIX = "undo:"  #: before the key of a leg; no key of a plan has a colon


class Recipe(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What takes a leg back on a node where it was done; without `sealed`, nothing has to."""

    action: str = ""
    data: dict[str, Any] = {}  # secrets masked
    sealed: str = ""  # the request, signed by the server in the caller's name
    fills: dict[str, str] | None = None  # reference -> the leg whose answer it means
    partial: bool = False  # also where the leg failed half-way
    only_if: str | None = None  # an output; unless it is true, nothing is to be undone
    max_attempts: int = 1
    retry_delay_s: float = 30.0
    lost_after_s: float = 60.0
    retry_lost: bool = False

    @property
    def is_nothing(self) -> bool:
        """Whether the leg leaves nothing that would have to be taken back."""
        return not self.sealed


def undoing_id(plan: str, key: str = "") -> JobId:
    """The id of what takes the leg back; without a key, of what takes back the plan."""
    return JobId(str(uuid5(UUID(plan), PREFIX + key)))


def undoing_data(undo: Undo, leg: Leg, action: Action) -> dict[str, Any]:
    """The undoing action's inputs as data of a leg; those that lead nowhere are left out."""
    given = action.with_defaults(leg.data)
    found = {name: _put(value, leg.key, given) for name, value in undo.data.items()}
    return {name: value for name, value in found.items() if value is not None}


def _put(value: Any, key: str, given: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {name: _put(item, key, given) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_put(item, key, given) for item in value]
    if not isinstance(value, str):
        return value
    if whole := REFERENCE.fullmatch(value):
        return _meant(whole, key, given)
    return REFERENCE.sub(lambda found: _text(_meant(found, key, given)), value)


def _meant(reference: re.Match[str], key: str, given: Mapping[str, Any]) -> Any:
    """What was given, or the reference to what was answered."""
    if reference[1] == "reply":
        return f"${{{LEGS}.{key}.{DATA}.{reference[2]}}}"
    value: Any = given
    steps = reference[2].split(".")
    for at, step in enumerate(steps):
        if at and isinstance(value, str):
            return _further(value, steps[at:])
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _further(text: str, steps: list[str]) -> str | None:
    """What lies below something that an earlier leg answers."""
    found = find_references(text)
    if len(found) == 1 and text == str(found[0]) and found[0].source == DATA:
        return f"${{{'.'.join([found[0].text, *steps])}}}"
    return None


def _text(value: Any) -> str:
    return "" if value is None else str(value)
