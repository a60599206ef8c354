"""Inputs: what an action takes, and which values are let through.

The types and rules are SimpleRPC's. Messages never quote a value: it may be a secret.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from msgspec import Struct

from fleetjobs import patterns
from fleetjobs.errors import InvalidInput
from fleetjobs.values import LARGEST, SMALLEST, check_value, read_json

SHELLSAFE = ("`", "$", ";", "|", "&&", ">", "<")  #: what a shellsafe string has none of
LONGEST = 4 * 1024 * 1024  #: characters of a string without a maxlength; a document is bounded too


class InputType(StrEnum):
    """The types of SimpleRPC."""

    STRING = "string"
    LIST = "list"  # one of the declared strings
    BOOLEAN = "boolean"
    INTEGER = "integer"  # 1.0 counts: JSON writers differ
    FLOAT = "float"  # any number, as in Choria
    NUMBER = "number"
    HASH = "hash"
    ARRAY = "array"
    ANY = "any"


class Input(Struct, frozen=True, kw_only=True):
    """One declared input."""

    name: str
    type: InputType
    prompt: str
    description: str
    optional: bool
    default: Any  # None: none
    maxlength: int  # characters of a string; 0: no limit of its own
    validation: str | None  # a pattern, or shellsafe ipv4address ipv6address ipaddress
    choices: tuple[str, ...]  # of a list

    def check(self, value: Any) -> None:
        """Let a fitting value pass. Raises InvalidInput."""
        check_value(value, self.name)
        if not _FITS[self.type](value):
            raise InvalidInput(f"{self.name} must be {_TITLES[self.type]}")
        if self.type is InputType.LIST and value not in self.choices:
            raise InvalidInput(f"{self.name} must be one of {', '.join(self.choices)}")
        if self.type is InputType.STRING:
            self._check_text(value)

    def _check_text(self, text: str) -> None:
        longest = self.maxlength or LONGEST
        if len(text) > longest:
            raise InvalidInput(f"{self.name} has {len(text)} characters; {longest} are allowed")
        if self.validation is None:
            return
        if self.validation in VALIDATIONS:
            if not VALIDATIONS[self.validation](text):
                raise InvalidInput(f"{self.name} is not {_TITLES[self.validation]}")
        elif not patterns.compile(self.validation).search(text):
            raise InvalidInput(f"{self.name} does not match {self.validation}")

    def parse(self, word: str) -> Any:
        """The value a command-line word stands for; not yet checked. Raises InvalidInput."""
        if self.type in (InputType.HASH, InputType.ARRAY):
            if word.lstrip()[:1] not in {"[", "{"}:  # a plain word, which a shell has perhaps made
                raise InvalidInput(f"{self.name} is {_WRITTEN[self.type]}, with quotes around it")
            return read_json(word, self.name)
        if self.type is InputType.ANY:  # plain words stay text: 1.10 is a version, not 1.1
            return read_json(word, self.name) if word[:1] in _JSON_BEGINS else word
        if self.type is InputType.BOOLEAN:
            return self._parse_boolean(word)
        if self.type in (InputType.INTEGER, InputType.FLOAT, InputType.NUMBER):
            return self._parse_number(word)
        return word

    def _parse_boolean(self, word: str) -> bool:
        try:
            return _BOOLEANS[word.lower()]
        except KeyError:
            raise InvalidInput(f"{self.name} must be true or false") from None

    def _parse_number(self, word: str) -> int | float:
        if re.match(_INTEGER, word):
            return int(word)
        if re.match(_FLOAT, word) and self.type is not InputType.INTEGER:
            return float(word)
        raise InvalidInput(f"{self.name} must be {_TITLES[self.type]}")


def is_shellsafe(text: str) -> bool:
    """Whether the text has none of the characters a shell would act on, by MCollective's list."""
    return not any(sign in text for sign in SHELLSAFE)


def is_ipv4(text: str) -> bool:
    """Whether the text is an IPv4 address in dotted decimals."""
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def is_ipv6(text: str) -> bool:
    """Whether the text is an IPv6 address; without a zone, whose name could be any text."""
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return "%" not in text


VALIDATIONS: Mapping[str, Callable[[str], bool]] = {
    "shellsafe": is_shellsafe,
    "ipv4address": is_ipv4,
    "ipv6address": is_ipv6,
    "ipaddress": lambda text: is_ipv4(text) or is_ipv6(text),
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(number: float) -> bool:
    return number == int(number) and SMALLEST <= number <= LARGEST


_FITS: Mapping[InputType, Callable[[Any], bool]] = {
    InputType.STRING: lambda value: isinstance(value, str),
    InputType.LIST: lambda value: isinstance(value, str),
    InputType.BOOLEAN: lambda value: isinstance(value, bool),
    InputType.INTEGER: lambda value: _is_number(value) and _is_whole(value),
    InputType.FLOAT: _is_number,
    InputType.NUMBER: _is_number,
    InputType.HASH: lambda value: isinstance(value, dict),
    InputType.ARRAY: lambda value: isinstance(value, list | tuple),
    InputType.ANY: lambda value: value is not None,
}

_WRITTEN = {  #: for a shell
    InputType.ARRAY: """written as JSON, '["one", "two"]'""",
    InputType.HASH: """written as JSON, '{"name": "value"}'""",
}
_TITLES: Mapping[str, str] = {
    "string": "text",
    "list": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "float": "a number",
    "number": "a number",
    "hash": "an object",
    "array": "an array",
    "any": "something",
    "shellsafe": f"safe for a shell: it has one of {' '.join(SHELLSAFE)}",
    "ipv4address": "an IPv4 address",
    "ipv6address": "an IPv6 address",
    "ipaddress": "an IP address",
}

_JSON_BEGINS = tuple('{["')
_INTEGER = r"\A[+-]?[0-9]{1,20}\Z"
_FLOAT = r"\A[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,4})?\Z"
_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}
