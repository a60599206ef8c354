"""Markup: the YAML that plans are written in, read as JSON would be, with the line of each part.

Plain `true`, `false`, `null` and decimal numbers are what they look like; every other word is
text, also `yes`, `1.10.2` and `2026-12-01`. A key that is there twice, an alias, a merge, a tag
and a second document are refused: each reader would take them otherwise, or they hide what a
person has to see.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isinf
from typing import Any, NoReturn, TypeAlias

import yaml

from fleetjobs.errors import InvalidInput, InvalidPlan
from fleetjobs.values import DEEPEST, check_value

LIMIT = 4 * 1024 * 1024  #: characters of a text; a longer one is refused unread
Path: TypeAlias = tuple[str | int, ...]

#: only its events are used: what composes documents of them recurses, in C without a limit
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"\A[-+]?(?:0|[1-9][0-9]{0,39})\Z")
_FLOAT = re.compile(r"\A[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?\Z")


@dataclass(frozen=True, slots=True)
class Marked:
    """A value that was read, and the line of each of its parts."""

    value: Any
    lines: Mapping[Path, int]  # from 1
    origin: str  # the file's name

    def at(self, *path: str | int) -> str:
        """Where a part stands, or the nearest thing around it: `build.yaml:12`."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.origin}:{self.lines.get(path, 1)}"


def read_markup(text: str, origin: str) -> Marked:
    """The one document in the text. Raises InvalidPlan naming the line."""
    if len(text) > LIMIT:
        raise InvalidPlan(f"{origin}: {len(text)} characters are too long; {LIMIT} are allowed")
    reading = _Reading(origin)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            reading.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{origin}:{mark.line + 1}" if mark else origin
        told = error.problem or error.context or str(error)
        row = text.split("\n")[mark.line :][:1] if mark else []
        if row and row[0].lstrip(" ").startswith("\t"):
            told = "a tab; lines are indented by spaces"
        raise InvalidPlan(f"{where}: {told}") from None
    except (yaml.YAMLError, UnicodeError) as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise InvalidPlan(f"{origin}: {first}") from None
    if not reading.documents:
        raise InvalidPlan(f"{origin}: there is nothing in it")
    value = reading.documents[0]
    try:
        check_value(value, origin)
    except InvalidInput as error:
        raise InvalidPlan(str(error)) from None
    return Marked(value, reading.lines, origin)


@dataclass(slots=True)
class _Open:
    """A mapping or a list that has not ended."""

    value: dict[str, Any] | list[Any]
    path: Path
    key: str | None = None  # of a mapping: the name whose value comes next


class _Reading:
    """Makes a value of the events of one document."""

    def __init__(self, origin: str) -> None:
        """Nothing was read yet."""
        self.documents: list[Any] = []
        self.lines: dict[Path, int] = {}
        self._origin = origin
        self._open: list[_Open] = []

    def take(self, event: yaml.Event) -> None:
        """The next event."""
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            self._refuse(line, "an alias (*) is not taken; write it out, or make it a parameter")
        if isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
        elif isinstance(event, yaml.NodeEvent):
            self._node(event, line)

    def _node(self, event: yaml.NodeEvent, line: int) -> None:
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            self._refuse(line, f"a tag ({tag[:70]}) is not taken")
        inner = self._open[-1] if self._open else None
        if inner is not None and isinstance(inner.value, dict) and inner.key is None:
            self._name(inner, event, line)
            return
        path = self._place(inner, line)
        if isinstance(event, yaml.ScalarEvent):
            self._put(inner, self._scalar(event, line))
            return
        value: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._put(inner, value)
        self._open.append(_Open(value, path))
        if len(self._open) > DEEPEST:
            self._refuse(line, f"it is nested deeper than {DEEPEST} levels")

    def _place(self, inner: _Open | None, line: int) -> Path:
        """Where the next value belongs; notes its line, of a mapping's that of the name."""
        if inner is None:
            path: Path = ()
            if self.documents:
                self._refuse(line, "a second document begins; a file holds one plan")
        elif isinstance(inner.value, list):
            path = (*inner.path, len(inner.value))
        else:
            path = (*inner.path, inner.key or "")
        self.lines.setdefault(path, line)
        return path

    def _put(self, inner: _Open | None, value: Any) -> None:
        if inner is None:
            self.documents.append(value)
        elif isinstance(inner.value, list):
            inner.value.append(value)
        else:
            inner.value[inner.key or ""] = value
            inner.key = None

    def _name(self, inner: _Open, event: yaml.NodeEvent, line: int) -> None:
        """The name of a mapping's next value."""
        if not isinstance(event, yaml.ScalarEvent):
            self._refuse(line, "a name has to be a word")
        name = str(event.value)
        if name == "<<" and not event.style:
            self._refuse(line, "a merge (<<) is not taken; write it out")
        if name in inner.value:
            first = self.lines[(*inner.path, name)]
            self._refuse(line, f"{name[:70]!r} is there twice; the first one is in line {first}")
        inner.key = name
        self.lines[(*inner.path, name)] = line

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Any:
        text = str(event.value)
        if event.style:  # it is quoted, or a block
            return text
        if text in (text.lower(), text.capitalize(), text.upper()) and text.lower() in _WORDS:
            return _WORDS[text.lower()]
        if _INTEGER.match(text):
            return int(text)
        if not _FLOAT.match(text):
            return text
        number = float(text)
        if isinf(number):
            self._refuse(line, f"{text} is too large a number")
        return number

    def _refuse(self, line: int, what: str) -> NoReturn:
        raise InvalidPlan(f"{self._origin}:{line}: {what}")
