"""Values: what the data of a request or a reply may hold, and what would break later parts.

JSON as everyone reads it alike: no NaN, no number beyond 64 bits, no key twice, no text that
cannot be written as UTF-8, nothing nested without end. Messages never quote a value: it may be
a secret.
"""

import json
import math
from typing import Any

from fleetjobs.errors import InvalidInput

DEEPEST = 64  #: levels of nesting
MOST = 1_000_000  #: values within one, all levels counted
SMALLEST, LARGEST = -(2**63), 2**63 - 1  #: integers that every language and database holds


def check_value(value: Any, name: str, *, may_hold_nul: bool = False) -> None:
    """Let a JSON value pass. Raises InvalidInput, calling it by name."""
    level, count = [value], 0
    for _ in range(DEEPEST + 1):
        inner: list[Any] = []
        for item in level:
            if not _is_plain(item):
                inner.extend(_parts(item, name, may_hold_nul=may_hold_nul))
        count += len(level)
        if count > MOST:
            raise InvalidInput(f"{name} holds more than {MOST} values")
        if not inner:
            return
        level = inner
    raise InvalidInput(f"{name} is nested deeper than {DEEPEST} levels")


def _is_plain(value: Any) -> bool:
    """Whether there is nothing about it to be looked at: most of what comes is short text."""
    return value is None or (type(value) is str and value.isascii() and "\0" not in value)


def _parts(value: Any, name: str, *, may_hold_nul: bool) -> list[Any]:
    """What a value holds; nothing for a plain one. Raises InvalidInput if it is not JSON."""
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise InvalidInput(f"{name} has a key that is not text")
        return [*value, *value.values()]
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, str):
        _check_text(value, name, may_hold_nul=may_hold_nul)
    elif isinstance(value, int | float):
        _check_number(value, name)
    elif value is not None:
        raise InvalidInput(f"{name} is or holds a {type(value).__name__}, which JSON has not")
    return []


def _check_number(number: float, name: str) -> None:
    if isinstance(number, float) and not math.isfinite(number):
        raise InvalidInput(f"{name} is or holds a number that is not finite")
    if isinstance(number, int) and not SMALLEST <= number <= LARGEST:
        raise InvalidInput(f"{name} is or holds a number beyond 64 bits")


def _check_text(text: str, name: str, *, may_hold_nul: bool) -> None:
    if "\0" in text and not may_hold_nul:  # no argument vector and no PostgreSQL text can hold it
        raise InvalidInput(f"{name} holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(
            f"{name} holds bytes that are not UTF-8, or half a surrogate pair"
        ) from None


def read_json(text: str, name: str) -> Any:
    """The value in a JSON text. Raises InvalidInput, also for a key that is there twice."""
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except InvalidInput as error:
        raise InvalidInput(f"{name} {error}") from None
    except (ValueError, RecursionError):
        raise InvalidInput(f"{name} is not JSON") from None
    check_value(value, name)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs as an object; readers differ in which of two equal keys they take, so none is."""
    document = dict(pairs)
    if len(document) != len(pairs):
        raise InvalidInput("has a key twice")
    return document
