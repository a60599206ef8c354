"""Complaints: what is wrong with a value in a plan, in words of those who write plans."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from enum import StrEnum

import msgspec

from fleetjobs.declarations import Undo
from fleetjobs.plans.documents import OnFailure, Pace, RetryMode
from fleetjobs.rollouts import Rollout
from fleetjobs.states import StartIf
from fleetjobs.targets import Target

_CHOICES: dict[str, type[StrEnum]] = {
    "on_failure": OnFailure,
    "retry_mode": RetryMode,
    "when": StartIf,
    "pace": Pace,
}
_UNDO = "is {action: …, data: …}, or nothing"
_SHARE = "is a number or a percentage, such as 2 or 10%"
_NAME = "begins with a letter, and has up to 64 letters, digits, - and _"
#: what a text at that place looks like
_LOOKS = {
    **dict.fromkeys(("batch", "canary", "max_failures"), _SHARE),
    **dict.fromkeys(("key", "leg", "group", "rollback_to"), _NAME),
    "order": "is listed, random, or fact:NAME",
    "undo": _UNDO,
}
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "words with values, {word: value}",
    "null": "nothing",
}
_PARTS: dict[str, type[msgspec.Struct]] = {"rollout": Rollout, "target": Target, "undo": Undo}


def complaint(error: msgspec.ValidationError) -> tuple[tuple[str, ...], str]:
    """Where it is, by the names on the way there, and what is wrong: `retries`, `is a number`."""
    text, _, where = str(error).partition(" - at `$")
    steps = tuple(step for step in where.rstrip("`").split(".") if step)
    return steps, _in_words(text, steps)


def _in_words(text: str, steps: Sequence[str]) -> str:
    last = re.sub(r"\[.*\]$", "", steps[-1]) if steps else ""
    quoted = re.findall(r"`([^`]*)`", text)
    if text.startswith("Invalid enum value"):
        return _choice(last, text.partition("'")[2].rstrip("'"))
    if "matching regex" in text:
        return _LOOKS.get(last, f"does not match {text.partition('regex ')[2]}")
    if text.startswith("Object "):
        return _words_of(last, quoted[0], lacks="missing" in text)
    if "RFC3339" in text or "timezone" in text:
        return "is a time with its zone, such as 2026-12-01T04:00:00Z"
    return _kind(text, quoted) if text.startswith("Expected `") else text


def _choice(place: str, given: str) -> str:
    choices = _CHOICES.get(place)
    return _UNDO if choices is None else f"is none of {', '.join(choices)}: {given:.70}"


def _kind(text: str, quoted: Sequence[str]) -> str:
    """`Expected `int | null`, got `str`` or `Expected `float` > 0.0`."""
    wanted = [_KINDS.get(name, name) for name in quoted[0].split(" | ") if name != "null"]
    more = text.partition(f"`{quoted[0]}`")[2].partition(",")[0]
    given = f", not {_KINDS.get(quoted[1], quoted[1])}" if len(quoted) > 1 else ""
    return f"is {' or '.join(wanted)}{more}{given}"


def _words_of(part: str, name: str, *, lacks: bool) -> str:
    if lacks:
        return f"lacks {name}"
    if part not in _PARTS:
        return f"has no {name!r:.70}"
    known = [field.encode_name for field in msgspec.structs.fields(_PARTS[part])]
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return f"has no {name!r:.70}; {hint}"
