"""Undos: what takes an action back, and whether it can.

An undo is another action of the same agent. Its inputs come from what the action was given,
`${data.name}`, and from what it answered, `${reply.path}`. A value that is nothing but one
reference keeps its type; within a text it becomes text.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from fleetjobs.declarations import Undo
from fleetjobs.errors import InvalidInput, InvalidInterface
from fleetjobs.inputs import Input, InputType

REFERENCE = re.compile(r"\$\{(data|reply)\.([A-Za-z0-9_]+(?:\.[A-Za-z0-9_-]+)*)\}")
_NUMBERS = (InputType.FLOAT, InputType.NUMBER)
_WORDS = (InputType.LIST, InputType.STRING)


class Typed(Protocol):
    """An output, as far as it matters here."""

    @property
    def type(self) -> InputType | None:
        """What it holds; None: anything."""


class Side(Protocol):
    """An action, as far as it matters here: what is undone, or what undoes it."""

    @property
    def inputs(self) -> Mapping[str, Input]:
        """What it takes."""

    @property
    def outputs(self) -> Mapping[str, Typed]:
        """What it answers."""

    @property
    def secrets(self) -> frozenset[str]:
        """The inputs that are never shown."""


def check_undo(place: str, undo: Undo, undone: Side, undoing: Side | None) -> None:
    """Let an undo pass that can be filled; `undoing` is the action that it names, None: none.

    Raises InvalidInterface naming the place.
    """
    place = f"{place}: undo"
    if undoing is None:
        raise InvalidInterface(f"{place}: this agent has no action {undo.action!r}")
    if undo.only_if and undo.only_if not in undone.outputs:
        raise InvalidInterface(f"{place}: only_if names {undo.only_if!r:.70}, which is no output")
    for name, declared in undoing.inputs.items():
        if name not in undo.data and declared.default is None and not declared.optional:
            raise InvalidInterface(f"{place}: {undo.action} needs {name}, which is not given")
    for name, value in undo.data.items():
        where = f"{place}, {name}"
        if name not in undoing.inputs:
            raise InvalidInterface(f"{where}: {undo.action} has no such input")
        found = list(_references(where, value))
        _check_sources(where, found, undone, taken_secretly=name in undoing.secrets)
        if found:
            _check_type(where, undoing.inputs[name], value, undone)
        else:
            _check_constant(where, undoing.inputs[name], value)


def _references(where: str, value: Any) -> Iterator[tuple[str, str]]:
    """The references in a value: data or reply, and the field they begin with."""
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _references(where, item)
    elif isinstance(value, str):
        if "${" in REFERENCE.sub("", value):
            raise InvalidInterface(
                f"{where}: a reference is written ${{data.name}} or ${{reply.path}}"
            )
        for found in REFERENCE.finditer(value):
            yield found[1], found[2].partition(".")[0]


def _check_sources(
    where: str, found: Iterable[tuple[str, str]], undone: Side, *, taken_secretly: bool
) -> None:
    """That what is referred to exists, and that no secret gets where it would be shown."""
    for kind, field in found:
        if kind == "reply" and field not in undone.outputs:
            raise InvalidInterface(f"{where}: {field!r:.70} is no output of what is undone")
        if kind == "data" and field not in undone.inputs:
            raise InvalidInterface(f"{where}: {field!r:.70} is no input of what is undone")
        if kind == "data" and field in undone.secrets and not taken_secretly:
            raise InvalidInterface(f"{where}: {field} is secret, and this input is not")


def _check_constant(where: str, taking: Input, value: Any) -> None:
    try:
        taking.check(value)
    except InvalidInput as error:
        raise InvalidInterface(f"{where}: {error}") from None


def _check_type(where: str, taking: Input, value: Any, undone: Side) -> None:
    """That a whole input or output is of the right type, and there when it is needed."""
    whole = REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if whole is None or "." in whole[2]:
        return  # what is inside is known when it is there
    if whole[1] == "reply":
        given = undone.outputs[whole[2]].type
    else:
        source = undone.inputs[whole[2]]
        given = source.type
        if source.optional and source.default is None and not taking.optional:
            raise InvalidInterface(f"{where}: {source.name} may be missing, and is needed here")
    if given is not None and not _fits(given, taking.type):
        raise InvalidInterface(f"{where}: it takes {taking.type}, and {whole[2]} is {given}")


def _fits(given: InputType, taken: InputType) -> bool:
    return (
        given is taken
        or InputType.ANY in (given, taken)
        or (given in (*_NUMBERS, InputType.INTEGER) and taken in _NUMBERS)
        or (given in _WORDS and taken in _WORDS)  # which ones is seen when they are there
    )
