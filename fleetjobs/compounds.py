"""Compounds: `-S` expressions, fact conditions and classes joined by and, or, not and ( ).

`not` (also `!`) binds closest, then `and`, then `or`. A word is the name of a class, `/.../` a
pattern on class names, `fact=value` a condition on a fact. What has spaces is put in quotes.
"""

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from msgspec import Struct

from fleetjobs import facts, patterns
from fleetjobs.errors import InvalidPattern, InvalidTarget

LONGEST = 4_000  #: characters of an expression
DEEPEST = 32  #: levels of parentheses and negations

#: whether it holds for a node with these facts and classes
Test = Callable[[Mapping[str, Any], AbstractSet[str]], bool]

_VALUE = r"(?![=~<>])(?:/(?:[^/\\]|\\.)+/|\"[^\"]*\"|'[^']*'|[^\s()'\"]+)"
_TOKEN = rf"""(?x)\s*(?:
      (?P<paren>[()])
    | (?P<fact>{facts.NAME})\s*(?P<sign>{facts.OPERATOR})\s*(?P<value>{_VALUE})
    | (?P<word>{facts.NAME})
    | (?P<pattern>/(?:[^/\\]|\\.)+/)
    | (?P<bang>!)
    )\s*"""


class _Token(Struct, frozen=True):
    kind: str  # ( ) and or not, or atom
    text: str
    test: Test = lambda _known, _classes: False  # of an atom


def read_compound(text: str) -> Test:
    """The expression, ready to be asked. Raises InvalidTarget saying where it breaks."""
    if len(text) > LONGEST:
        raise InvalidTarget(f"an expression of {len(text)} characters; {LONGEST} are allowed")
    return _Reader(_tokens(text)).read()


def _tokens(text: str) -> list[_Token]:
    tokens, position, token = [], 0, re.compile(_TOKEN)
    while position < len(text):
        found = token.match(text, position)
        if found is None:
            raise InvalidTarget(f"cannot read the expression from {text[position:][:40]!r} on")
        tokens.append(_token(found))
        position = found.end()
    return tokens


def _token(found: re.Match[str]) -> _Token:
    text = found[0].strip()
    if found["paren"]:
        return _Token(text, text)
    if found["bang"] or text == "not":
        return _Token("not", text)
    if text in ("and", "or"):
        return _Token(text, text)
    if found["fact"]:
        condition = facts.make_condition(found["fact"], found["sign"], found["value"])
        return _Token("atom", text, lambda known, _: condition.holds(known))
    return _Token("atom", text, _class_test(text))


def _class_test(text: str) -> Test:
    name = read_name(text)
    return lambda _, classes: name(classes)


def read_name(text: str) -> Callable[[AbstractSet[str]], bool]:
    """A name or /pattern/: whether a set of names has it. Raises InvalidTarget."""
    if not text or text != text.strip() or len(text) > patterns.LONGEST:
        raise InvalidTarget(f"{text[:60]!r} cannot be a name")
    if not (text.startswith("/") and text.endswith("/")):
        return lambda names: text in names
    if len(text) < len("/x/"):
        raise InvalidTarget(f"{text!r} is an empty pattern; it would match everything")
    try:
        pattern = patterns.compile(text[1:-1])
    except InvalidPattern as error:
        raise InvalidTarget(str(error)) from None
    return lambda names: any(pattern.search(name) for name in names)


class _Reader:
    """Recursive descent, one method for each level of binding."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._position = 0
        self._depth = 0

    def read(self) -> Test:
        test = self._any()
        if self._position < len(self._tokens):
            raise self._trouble()
        return test

    def _next_is(self, kind: str) -> bool:
        """Step over the next token if it is of that kind."""
        here = self._position < len(self._tokens) and self._tokens[self._position].kind == kind
        self._position += here
        return here

    def _trouble(self) -> InvalidTarget:
        if self._position < len(self._tokens):
            token = self._tokens[self._position].text
            return InvalidTarget(f"{token[:40]!r} stands where it makes no sense in the expression")
        return InvalidTarget("the expression ends too early")

    def _any(self) -> Test:
        tests = [self._all()]
        while self._next_is("or"):
            tests.append(self._all())
        return lambda known, classes: any(test(known, classes) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._next_is("and"):
            tests.append(self._one())
        return lambda known, classes: all(test(known, classes) for test in tests)

    def _one(self) -> Test:
        self._depth += 1
        if self._depth > DEEPEST:
            raise InvalidTarget(f"the expression is nested deeper than {DEEPEST} levels")
        test = self._innermost()
        self._depth -= 1
        return test

    def _innermost(self) -> Test:
        if self._next_is("not"):
            inner = self._one()
            return lambda known, classes: not inner(known, classes)
        if self._next_is("("):
            test = self._any()
            if not self._next_is(")"):
                raise self._trouble()
            return test
        if self._next_is("atom"):
            return self._tokens[self._position - 1].test
        raise self._trouble()
