"""Tokens: the words of a Ruby file that only declares things.

What could compute something has no token here: it is refused with its line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fleetjobs.errors import InvalidInterface


class Kind(StrEnum):
    """What a token is."""

    NAME = "name"  # a word: action, do, end, true
    LABEL = "label"  # `name:` of a hash
    VALUE = "value"  # a string, symbol, number or pattern
    SIGN = "sign"  # => , ( ) [ ] { }
    BREAK = "break"  # the end of a line


@dataclass(frozen=True, slots=True)
class Token:
    """One word, and where it stands."""

    kind: Kind
    text: str  # as it is written
    value: Any  # of a VALUE, and the name of a LABEL
    line: int


LONGEST = 1024 * 1024  #: characters of a file


def tokens(text: str, file: str) -> list[Token]:
    """The tokens of a file. Raises InvalidInterface naming the line of what is none of them."""
    if len(text) > LONGEST:
        raise InvalidInterface(f"{file}: has {len(text)} characters; {LONGEST} are allowed")
    return list(_scan(text, file))


def _scan(text: str, file: str) -> Iterator[Token]:
    at, line = 0, 1
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.end() == at:
            raise InvalidInterface(f"{file}, line {line}: {_begin(text[at:])} cannot be read here")
        kind, word = str(found.lastgroup), found.group()
        if kind != "blank":
            yield _token(kind, word, line, file)
        line += word.count("\n")
        at = found.end()


def _token(kind: str, word: str, line: int, file: str) -> Token:
    if kind in (Kind.NAME, Kind.SIGN, Kind.BREAK):
        return Token(Kind(kind), word, None, line)
    if kind == Kind.LABEL:
        return Token(Kind.LABEL, word, _unquoted(word[:-1], line, file), line)
    return Token(Kind.VALUE, word, _READ[kind](word, line, file), line)


def _unquoted(word: str, line: int, file: str) -> str:
    """The text between the quotes, if there are some."""
    if word[:1] == "'":
        return re.sub(r"\\([\\'])", r"\1", word[1:-1])
    if word[:1] != '"':
        return word
    inner = word[1:-1]
    if re.search(r"(?<!\\)(?:\\\\)*#[{@$]", inner):
        raise InvalidInterface(
            f"{file}, line {line}: {_begin(word)} has a part that Ruby would compute"
        )
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), inner, flags=re.DOTALL)


def _pattern(word: str, line: int, file: str) -> str:
    del line, file
    return word[1:-1].replace("\\/", "/")


def _number(word: str, line: int, file: str) -> int | float:
    del line, file
    plain = word.replace("_", "")
    return float(plain) if "." in plain or "e" in plain.lower() else int(plain)


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "e": "\x1b", "s": " ", "0": "\0", "a": "\a", "b": "\b"}
_READ = {
    "string": _unquoted,
    "symbol": lambda word, line, file: _unquoted(word[1:], line, file),
    "words": lambda word, line, file: word[3:-1].split(),  # noqa: ARG005  all readers look alike
    "pattern": _pattern,
    "number": _number,
}
_QUOTED = r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+\""""
_TOKEN = re.compile(
    rf"""
      (?P<blank> [ \t\r]++ | \#[^\n]*+ | \\\n
        | (?:^|(?<=\n)) =begin\b (?s:.*?) \n=end [^\n]*+ )
    | (?P<break> [\n;] )
    | (?P<label> (?: [A-Za-z_][A-Za-z0-9_]*+ | {_QUOTED} ) : (?=[ \t\n]) )
    | (?P<string> {_QUOTED} )
    | (?P<symbol> : (?: [A-Za-z_][A-Za-z0-9_]*+[?!]? | {_QUOTED} ) )
    | (?P<words> %w (?: \[[^\]\\]*+\] | \([^)\\]*+\) | \{{[^}}\\]*+\}} ) )
    | (?P<pattern> /(?:[^/\\\n]|\\[^\n])++/ (?![a-z]) )
    | (?P<number> -?[0-9][0-9_]*+ (?: \.[0-9]++ )? (?: [eE][+-]?[0-9]++ )? (?![A-Za-z0-9_.]) )
    | (?P<name> [A-Za-z_][A-Za-z0-9_]*+ )
    | (?P<sign> => | [,()\[\]{{}}] )
    """,
    re.VERBOSE | re.DOTALL,
)


def _begin(text: str) -> str:
    """What stands there, for a message."""
    return repr(text.split("\n", 1)[0][:40])
