"""Dialects: what the interface documents of other people's agents mean where ours would refuse.

Agents were written against what Choria and MCollective do with a document, not against a schema:
unknown keys mean nothing, null is nothing. A document of our own provider is read strictly.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, get_args

import msgspec

from fleetjobs import patterns
from fleetjobs.declarations import (
    ActionDeclaration,
    AggregateName,
    InputDeclaration,
    InterfaceDocument,
    Metadata,
    OutputDeclaration,
    TypeName,
)
from fleetjobs.errors import InvalidInput, InvalidInterface, InvalidPattern
from fleetjobs.inputs import VALIDATIONS, Input, InputType


class Provider(StrEnum):
    """By which contract an agent's programs are called."""

    FLEETJOBS = "fleetjobs"  # ours, see agents/README.md
    EXTERNAL = "external"  # Choria's External Agent protocol v1
    IMPLEMENTED_BY = "implemented_by"  # MCollective's scripts


FOREIGN = frozenset({Provider.EXTERNAL, Provider.IMPLEMENTED_BY})


def provider_of(document: Mapping[str, Any]) -> str:
    """The provider that a document names; ours if it names none."""
    metadata = document.get("metadata")
    named = metadata.get("provider") if isinstance(metadata, dict) else None
    return named if isinstance(named, str) and named else Provider.FLEETJOBS


def adapted(document: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The document as our reader takes it, and what was left out of it; ours comes back as it is.

    What has another shape than a document is left to the reader to refuse.
    """
    provider = provider_of(document)
    if provider not in FOREIGN:
        return document, []
    left_out: list[str] = []
    whole = _known(InterfaceDocument, document, "the document", left_out)
    whole["metadata"] = _known(Metadata, document.get("metadata"), "metadata", left_out)
    actions = document.get("actions")
    if isinstance(actions, list):
        quirky = provider == Provider.EXTERNAL
        whole["actions"] = [_action(action, left_out, quirky=quirky) for action in actions]
    return whole, left_out


def _action(action: Any, left_out: list[str], *, quirky: bool) -> Any:
    if not isinstance(action, dict):
        return action
    place = f"action {action.get('action')!r:.70}"
    adapted = _known(ActionDeclaration, action, place, left_out)
    for key in ("input", "output"):
        fields = action.get(key)
        adapted[key] = {} if fields is None and key in action else fields
        if key not in action:
            del adapted[key]
        elif isinstance(fields, dict):
            change = _input if key == "input" else _output
            adapted[key] = {
                name: change(declared, f"{place}, {key} {name!r:.70}", left_out, quirky=quirky)
                for name, declared in fields.items()
            }
    if isinstance(action.get("aggregate"), list):
        adapted["aggregate"] = list(_aggregates(action, place, left_out))
    return adapted


def _input(declared: Any, place: str, left_out: list[str], *, quirky: bool) -> Any:
    adapted = _known(InputDeclaration, declared, place, left_out)
    if not isinstance(adapted, dict) or not quirky or adapted.get("type") != "string":
        return adapted
    validation = adapted.get("validation")
    if not isinstance(validation, str) or not validation:
        return adapted
    if not adapted.get("maxlength"):
        why = "is not looked at, because its maxlength is 0"
    elif validation[0].isascii() and validation[0].islower() and validation not in VALIDATIONS:
        why = "is none that Choria knows; everything passes"
    else:
        return adapted
    left_out.append(f"{place}: validation {validation!r:.70} {why}")
    return {name: value for name, value in adapted.items() if name != "validation"}


def _output(declared: Any, place: str, left_out: list[str], *, quirky: bool) -> Any:
    del quirky  # outputs have none
    adapted = _known(OutputDeclaration, declared, place, left_out)
    if isinstance(adapted, dict) and adapted.get("type") not in (*_TYPES, None):
        left_out.append(f"{place}: type {adapted.pop('type')!r:.70}")
    return adapted


def _aggregates(action: Mapping[str, Any], place: str, left_out: list[str]) -> Iterator[Any]:
    """Those that we know, over outputs that there are."""
    outputs = action.get("output")
    for declared in action["aggregate"]:
        match declared:
            case {"function": str(function), "args": [str(output)] | [str(output), dict()]} if (
                function in _AGGREGATES and isinstance(outputs, dict) and output in outputs
            ):
                yield {name: declared[name] for name in ("function", "args")}
            case _:
                left_out.append(f"{place}: aggregate {declared!r:.70}")


def _known(shape: type[msgspec.Struct], value: Any, place: str, left_out: list[str]) -> Any:
    """The keys that we know; null stands for nothing, except as a default."""
    if not isinstance(value, dict):
        return value
    names = {field.encode_name for field in msgspec.structs.fields(shape)}
    left_out += [f"{place}: the key {name!r:.70}" for name in value if name not in names]
    return {
        name: item
        for name, item in value.items()
        if name in names and (item is not None or name == "default")
    }


def read_input(
    place: str, name: str, declared: InputDeclaration, *, is_ours: bool, is_known: bool = False
) -> Input:
    """One input, its validation tried out, and its default unless others wrote it.

    Neither where that was done before: `is_known`. Raises InvalidInterface.
    """
    place = f"{place}, input {name}"
    if not is_known:
        _check_validation(place, declared.validation)
    kind = InputType(declared.type.lower())
    if kind is InputType.LIST and not declared.choices:
        raise InvalidInterface(f"{place}: a list needs the strings to choose from in `list`")
    read = Input(
        name=name,
        type=kind,
        prompt=declared.prompt or name,
        description=declared.description,
        optional=declared.optional,
        default=declared.default,
        maxlength=int(declared.maxlength),
        validation=declared.validation or None,
        choices=declared.choices or (),
    )
    if read.default is not None and is_ours and not is_known:
        try:
            read.check(read.default)
        except InvalidInput as error:
            raise InvalidInterface(f"{place}: its default does not fit: {error}") from None
    return read


def _check_validation(place: str, validation: str | None) -> None:
    """A bare word that is no known check is a mistake: as a pattern it would mean nothing."""
    if not validation or validation in VALIDATIONS:
        return
    if validation.isidentifier():
        raise InvalidInterface(
            f"{place}: validation {validation!r:.70} is neither a pattern"
            f" nor one of {', '.join(VALIDATIONS)}"
        )
    try:
        patterns.compile(validation)
    except InvalidPattern as error:
        raise InvalidInterface(f"{place}: {error}") from None


_TYPES: tuple[str, ...] = get_args(TypeName)
_AGGREGATES: tuple[str, ...] = get_args(AggregateName)
