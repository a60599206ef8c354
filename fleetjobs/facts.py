"""Facts: conditions such as `os.family=Debian`, and how they hold against a node's facts.

MCollective's comparisons: `=` or `==`, `!=`, `=~`, `!~`, `<=`, `>=`, `<`, `>`. A value written
`/like this/` is a pattern. What looks like a number on both sides compares as numbers. A list
holds what one of its elements holds. A node without the fact fails every condition on it.
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from fleetjobs import patterns
from fleetjobs.errors import InvalidPattern, InvalidTarget

LONGEST = 1_000  #: characters of a condition
DEEPEST = 32  #: dots in the name of a fact

NAME = r"[^\s()!=<>~'\"/]+"
OPERATOR = r"==|=~|!~|!=|<=|>=|=|<|>"
_CONDITION = rf"(?s)\A({NAME})\s*({OPERATOR})\s*(?![=~<>])(\S.*)\Z"
_NUMBER = r"\A[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?\Z"
_QUOTED = r"(?s)\A(['\"])(.*)\1\Z"
_SLASHED = r"(?s)\A/(.+)/\Z"


class Condition(Struct, frozen=True, kw_only=True):
    """A comparison of one fact with a value."""

    fact: str
    operator: str  # == != =~ !~ <= >= < >
    value: str
    pattern: patterns.Pattern | None  # of =~ and !~

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Whether the facts satisfy it."""
        fact = find_fact(facts, self.fact)
        found = fact if isinstance(fact, list) else [fact]
        told = [item for item in found if item is not None and not isinstance(item, dict | list)]
        if self.operator in _NEGATIONS:
            return bool(told) and not any(self._holds(item) for item in told)
        return any(self._holds(item) for item in told)

    def _holds(self, fact: object) -> bool:
        """The comparison with one plain fact; of a negation, what it denies."""
        text = str(fact).lower() if isinstance(fact, bool) else str(fact)
        if self.pattern is not None:
            return self.pattern.search(text)
        compare = _COMPARISONS[_NEGATIONS.get(self.operator, self.operator)]
        if re.match(_NUMBER, text) and re.match(_NUMBER, self.value):
            return compare(_number(text), _number(self.value))
        return compare(text, self.value)


_NEGATIONS = {"!=": "==", "!~": "=~"}
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def read_condition(text: str) -> Condition:
    """The condition in a text. Raises InvalidTarget."""
    if len(text) > LONGEST:
        raise InvalidTarget(f"a condition of {len(text)} characters; {LONGEST} are allowed")
    found = re.match(_CONDITION, text.strip())
    if found is None:
        raise InvalidTarget(f"{text[:60]!r} is not of the form fact=value")
    return make_condition(*found.groups())


def make_condition(fact: str, sign: str, value: str) -> Condition:
    """The condition of these three parts; quotes around the value fall. Raises InvalidTarget."""
    if fact.count(".") > DEEPEST:
        raise InvalidTarget(f"{fact[:60]!r} has more than {DEEPEST} dots")
    sign = "==" if sign == "=" else sign
    quoted, slashed = re.match(_QUOTED, value), re.match(_SLASHED, value)
    plain = quoted[2] if quoted else slashed[1] if slashed else value
    if slashed and sign in ("==", "!="):
        sign = "=~" if sign == "==" else "!~"
    try:
        pattern = patterns.compile(plain) if sign in ("=~", "!~") else None
    except InvalidPattern as error:
        raise InvalidTarget(f"{fact}: {error}") from None
    return Condition(fact=fact, operator=sign, value=plain, pattern=pattern)


def find_fact(facts: Mapping[str, Any], name: str) -> Any:
    """The fact of that name, or at that dotted path; None if there is none.

    A name with dots in it comes first, as flat fact files have them; a number picks from a list.
    """
    if name in facts:
        return facts[name]
    found: Any = facts
    for part in name.split("."):
        if isinstance(found, Mapping):
            found = found.get(part)
        elif isinstance(found, list) and part.isascii() and part.isdigit() and len(part) < _DIGITS:
            found = found[int(part)] if int(part) < len(found) else None
        else:
            return None
    return found


_DIGITS = 6  # of an index into a list
