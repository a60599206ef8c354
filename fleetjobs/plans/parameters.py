"""Parameters: what a written plan leaves open, and `${params.name}`, which stands for it.

They are declared as agents declare inputs. What is put in is never read again: a value that holds
`${` means these characters.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from fleetjobs.declarations import InputDeclaration
from fleetjobs.dialects import read_input
from fleetjobs.errors import InvalidInput, InvalidInterface, InvalidPlan, MissingInput
from fleetjobs.inputs import Input, InputType

_NAME = re.compile(r"\A[A-Za-z][A-Za-z0-9_]{0,63}\Z")
_MARK = re.compile(r"\$\$\{|\$\{params\.([^{}]*)\}")


def read_parameters(declared: Any, at: Callable[..., str]) -> dict[str, Input]:
    """The parameters that a plan declares; `at` tells the place of a part of them.

    A single value in the place of a declaration is a default. Raises InvalidPlan.
    """
    if not isinstance(declared, dict):
        raise InvalidPlan(f"{at()}: params has names with what each takes")
    found: dict[str, Input] = {}
    for name, value in declared.items():
        if not _NAME.match(name):
            raise InvalidPlan(f"{at(name)}: {name[:70]!r} cannot be the name of a parameter")
        try:
            found[name] = read_input(
                "params", name, msgspec.convert(_declaration(value), InputDeclaration), is_ours=True
            )
        except (msgspec.ValidationError, InvalidInterface) as error:
            raise InvalidPlan(f"{at(name)}: parameter {name}: {error}") from None
    return found


def read_secrets(declared: Any, at: Callable[..., str]) -> frozenset[str]:
    """The parameters whose values are never shown: texts without a default. Raises InvalidPlan."""
    found = set()
    for name, words in declared.items() if isinstance(declared, dict) else ():
        secret = words.get("secret", False) if isinstance(words, dict) else False
        if not isinstance(secret, bool):
            raise InvalidPlan(f"{at(name, 'secret')}: parameter {name}: secret is true or false")
        if not secret:
            continue
        if words.get("type", "string") != "string" or "choices" in words or "list" in words:
            raise InvalidPlan(f"{at(name)}: parameter {name}: what is secret is of type string")
        if "default" in words:
            raise InvalidPlan(
                f"{at(name, 'default')}: parameter {name}: a secret has no default,"
                " which everybody could read"
            )
        found.add(name)
    return frozenset(found)


def _declaration(value: Any) -> dict[str, Any]:
    """In the words of interfaces; `choices`, `required`, `pattern` and `secret` are ours."""
    if not isinstance(value, dict):
        kinds = {bool: "boolean", int: "integer", float: "number", list: "array"}
        return {"type": kinds.get(type(value), "string"), "default": value}
    words = {name: inner for name, inner in value.items() if name != "secret"}
    if "pattern" in words and "validation" not in words:
        words["validation"] = words.pop("pattern")
    if "choices" in words:
        words |= {"list": words.pop("choices"), "type": "list"}
    if "required" in words:
        words["optional"] = words.pop("required") is False
    return {"type": "list" if "list" in words else "string", **words}


def parse_parameters(declared: Mapping[str, Input], words: Sequence[str]) -> dict[str, Any]:
    """Values from `name=value` words. Raises InvalidInput."""
    given: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise InvalidInput(f"{word!r:.70} is not of the form name=value")
        if name in given:
            raise InvalidInput(f"the parameter {name} is given twice")
        given[name] = _known(declared, name).parse(text)
    return given


def complete(declared: Mapping[str, Input], given: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter with its value: given, or its default; checked.

    Raises MissingInput, InvalidInput; their `field` names the parameter.
    """
    for name in given:
        try:
            _known(declared, name).check(given[name])
        except InvalidInput as error:
            error.field = f"params.{name}"
            raise
    values: dict[str, Any] = {}
    for name, taken in declared.items():
        if name not in given and taken.default is None and not taken.optional:
            about = f": {taken.description}" if taken.description else ""
            missing = MissingInput(f"the plan needs the parameter {name}{about}")
            missing.field = f"params.{name}"
            raise missing
        values[name] = given.get(name, taken.default)
    return values


def _known(declared: Mapping[str, Input], name: str) -> Input:
    if name not in declared:
        raise InvalidInput(f"the plan has no parameter {name!r:.70}{_near(name, declared)}")
    return declared[name]


def _near(name: str, declared: Mapping[str, Input]) -> str:
    close = get_close_matches(name, declared, n=3)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; its parameters are: {', '.join(declared) or 'none'}"


def names_in(text: str) -> list[str]:
    """The parameters that a text names."""
    return [mark[1] for mark in _MARK.finditer(text) if mark[1] is not None]


def put_in(value: Any, values: Mapping[str, Any], declared: Mapping[str, Input]) -> Any:
    """A text with parameters put in; one that is nothing else keeps its type.

    Raises InvalidInput for one that the plan does not have, or that cannot stand in a text.
    """
    if not isinstance(value, str) or "${params." not in value:
        return value
    whole = _MARK.fullmatch(value)
    if whole and whole[1] is not None:
        _known(declared, whole[1])
        return _literal(values[whole[1]])
    return _MARK.sub(lambda mark: _in_text(mark, values, declared), value)


def _literal(value: Any) -> Any:
    """The value, safe from being read for references."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, dict):
        return {name: _literal(inner) for name, inner in value.items()}
    return [_literal(inner) for inner in value] if isinstance(value, list) else value


def _in_text(mark: re.Match[str], values: Mapping[str, Any], declared: Mapping[str, Input]) -> str:
    if mark[1] is None:
        return mark[0]
    kind = _known(declared, mark[1]).type
    value = values[mark[1]]
    if isinstance(value, str):
        return str(_literal(value))
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    what = "is not given" if value is None else f"is {InputType(kind)}"
    raise InvalidInput(f"${{params.{mark[1]}}} {what}, which cannot stand inside a text")
