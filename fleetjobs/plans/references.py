"""References: `${legs.make_volume.data.path}` in the data of a leg stands for what came before.

A text that is one reference becomes the value, with its type; inside a longer text the value has
to be a text, a number, true or false. `$${` stands for `${`. Steps of a path are names, or places
in a list (0 is the first). Messages never quote a value: it may be a secret.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fleetjobs.errors import InvalidReference

LEGS = "legs"
DATA, STATUSMSG, NODE = "data", "statusmsg", "node"
SOURCES = (DATA, STATUSMSG, NODE)  #: what of a reply can be referred to

_MARK = re.compile(r"\$\$\{|\$\{([^{}]*)(\}?)")
_KEY = re.compile(r"\A[A-Za-z][A-Za-z0-9_-]{0,63}\Z")
_STEP = re.compile(r"\A[^.\s]{1,128}\Z")
_PLACE = re.compile(r"\A[0-9]{1,6}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What one `${…}` names."""

    text: str  # between the braces, as written
    leg: str
    source: str  # data, statusmsg or node of its reply
    path: tuple[str, ...]  # below data

    def __str__(self) -> str:
        return f"${{{self.text}}}"


def read_reference(text: str) -> Reference:
    """`legs.KEY.data.path`, `.statusmsg` or `.node` as a reference. Raises InvalidReference."""
    root, *steps = text.split(".")
    if root != LEGS or len(steps) < 2:  # noqa: PLR2004  the leg, and what of it
        raise InvalidReference(
            f"${{{text:.100}}} is no reference: it has the form ${{legs.KEY.data.NAME}};"
            " write $${ for the two characters themselves"
        )
    key, source, *path = steps
    if not _KEY.match(key):
        raise InvalidReference(f"${{{text:.100}}}: {key[:70]!r} cannot be the key of a leg")
    _check(text, source, path)
    return Reference(text=text, leg=key, source=source, path=tuple(path))


def _check(text: str, source: str, path: list[str]) -> None:
    if source not in SOURCES:
        *some, last = SOURCES
        raise InvalidReference(
            f"${{{text:.100}}}: {source[:70]!r} cannot be referred to;"
            f" {', '.join(some)} and {last} can"
        )
    if path and source != DATA:
        raise InvalidReference(f"${{{text:.100}}}: there is nothing below {source}")
    if not all(_STEP.match(step) for step in path):
        raise InvalidReference(f"${{{text:.100}}}: its path has an empty or a broken step")


def find_references(data: Any) -> tuple[Reference, ...]:
    """The references in the data, each once, in the order they stand. Raises InvalidReference."""
    found: dict[str, Reference] = {}

    def note(text: str) -> None:
        if text not in found:
            found[text] = read_reference(text)

    _walk(data, lambda text: _note_in(text, note))
    return tuple(found.values())


def is_plain(data: Any) -> bool:
    """Whether nothing in the data is to be filled: no reference and no `$${`."""
    plain = True

    def look(text: str) -> str:
        nonlocal plain
        plain = plain and "${" not in text
        return text

    _walk(data, look)
    return plain


def fill(data: Any, values: Mapping[str, Any]) -> Any:
    """The data with values in the place of references; `values` are by the text in the braces.

    Also takes the second `$` from `$${`. Raises InvalidReference for one that has no value, or
    whose value does not fit into its text.
    """
    return _walk(data, lambda text: _filled(text, values))


def look_up(reference: Reference, sources: Mapping[str, Any]) -> Any:
    """The value it names; `sources` are data, statusmsg and node of a reply.

    Raises InvalidReference saying which step leads to nothing.
    """
    if reference.source not in sources:
        raise InvalidReference(f"{reference}: there is no {reference.source}")
    value, way = sources[reference.source], reference.source
    for step in reference.path:
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list | tuple) and _PLACE.match(step) and int(step) < len(value):
            value = value[int(step)]
        else:
            raise InvalidReference(f"{reference}: {way} {_what_there_is(value, step)}")
        way = f"{way}.{step}"
    return value


def _what_there_is(value: Any, step: str) -> str:
    """Why a step led nowhere; names are shown, values are not."""
    if isinstance(value, Mapping):
        few = 12
        names = sorted(str(name)[:40] for name in value)
        more = f" and {len(names) - few} more" if len(names) > few else ""
        return f"has no {step!r}; it has {', '.join(names[:few]) or 'nothing'}{more}"
    if isinstance(value, list | tuple):
        return f"is a list of {len(value)}; it has no {step!r}"
    return f"is a single value, there is no {step!r} in it"


def _walk(data: Any, change: Callable[[str], Any]) -> Any:
    """The data with every text in it changed; names stay. As deep as `values` lets data be."""
    if isinstance(data, str):
        return change(data)
    if isinstance(data, Mapping):
        for name in data:
            if isinstance(name, str) and "${" in name:
                raise InvalidReference(f"{name[:70]!r}: a reference can be a value, not a name")
        return {name: _walk(value, change) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_walk(value, change) for value in data]
    return data


def _note_in(text: str, note: Callable[[str], None]) -> str:
    if "${" in text:
        for mark in _MARK.finditer(text):
            if mark[1] is not None:
                note(_closed(mark))
    return text


def _closed(mark: re.Match[str]) -> str:
    """What stands between the braces. Raises InvalidReference if the second one is missing."""
    if not mark[2]:
        raise InvalidReference(
            f"{mark[0][:70]!r}: a reference ends with }}; write $${{ for the two characters"
        )
    return mark[1]


def _filled(text: str, values: Mapping[str, Any]) -> Any:
    if "${" not in text:
        return text
    whole = _MARK.fullmatch(text)
    if whole and whole[1] is not None:
        return _value(_closed(whole), values)
    return _MARK.sub(
        lambda mark: "${" if mark[1] is None else _in_text(_closed(mark), values), text
    )


def _value(text: str, values: Mapping[str, Any]) -> Any:
    if text not in values:
        raise InvalidReference(f"${{{text:.100}}} has no value")
    return values[text]


def _in_text(text: str, values: Mapping[str, Any]) -> str:
    value = _value(text, values)
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    what = "nothing" if value is None else "an object" if isinstance(value, Mapping) else "a list"
    raise InvalidReference(f"${{{text:.100}}} is {what}, which cannot stand inside a text")
