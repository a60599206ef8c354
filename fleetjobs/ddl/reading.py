"""Reading: from the Ruby file of an MCollective agent to an interface document.

Taken are `metadata`, `requires`, `action … do … end` and in it `display`, `input`, `output` and
`summarize do aggregate … end`, with plain values: strings, symbols, numbers, true, false, nil,
arrays, hashes, patterns. Loops, conditions and calls are refused with their line; for such a file
a JSON twin can be written.
"""

import re
from typing import Any

from fleetjobs.ddl.tokens import Kind, Token, tokens
from fleetjobs.errors import InvalidInterface

PROVIDER = "implemented_by"
DEEPEST = 16  #: levels of arrays and hashes


def read_ddl(text: str, file: str) -> dict[str, Any]:
    """The interface document that the file declares. Raises InvalidInterface naming file and line.

    What a value may be is for whoever reads the document to say.
    """
    document: dict[str, Any] = {"metadata": {}, "actions": []}
    reader = _Reader(tokens(text, file), file)
    while (word := reader.statement()) is not None:
        match word.text:
            case "metadata":
                document["metadata"] = {**reader.options(), "provider": PROVIDER}
            case "requires":
                reader.options()
            case "action":
                document["actions"].append(_action(reader))
            case _:
                raise reader.complaint(word, "metadata, requires or action")
    return document


_IMPLEMENTED = re.compile(
    r"""^[ \t]*action[ \t(]+[:"']?(?P<action>\w+)["']?[ \t)]*\bdo\b\s*"""
    r"""implemented_by[ \t(]+(?P<quote>["'])(?P<script>[^"'\n\\]+)(?P=quote)""",
    re.MULTILINE,
)
_COMMENTS = re.compile(r"^[ \t]*#.*\n|[ \t]#[ \t].*$", re.MULTILINE)


def read_scripts(text: str) -> dict[str, str]:
    """Which script serves which action, by the lines `implemented_by` of an agent's Ruby file."""
    found = _IMPLEMENTED.finditer(_COMMENTS.sub("", text))
    return {each["action"]: each["script"] for each in found if "#{" not in each["script"]}


def _action(reader: "_Reader") -> dict[str, Any]:
    name = reader.text()
    options = reader.more_options()
    action: dict[str, Any] = {
        "action": name,
        "description": options.get("description", ""),
        "input": {},
        "output": {},
    }
    reader.expect("do")
    while (word := reader.statement()) is not None and word.text != "end":
        match word.text:
            case "display":
                action["display"] = reader.text()
            case "input" | "output":
                field = reader.text()
                action[word.text][field] = _field(reader.more_options())
            case "summarize":
                reader.expect("do")
                action["aggregate"] = _aggregates(reader)
            case _:
                raise reader.complaint(word, "display, input, output, summarize or end")
    if word is None:
        raise reader.complaint(None, "the end of an action")
    return action


def _field(options: dict[str, Any]) -> dict[str, Any]:
    """What an input or output says; `:default => nil` is no default."""
    validation = options.get("validation")
    if isinstance(validation, str):
        options = {**options, "validation": _translated(validation)}
    return options


def _translated(pattern: str) -> str:
    r"""A Ruby pattern in RE2's words: `\Z` lets a last line end pass, `\h` is a hexadecimal."""
    words = {r"\Z": r"\n?\z", r"\h": "[0-9a-fA-F]"}
    return re.sub(r"\\.", lambda found: words.get(found[0], found[0]), pattern, flags=re.DOTALL)


def _aggregates(reader: "_Reader") -> list[dict[str, Any]]:
    found = []
    while (word := reader.statement()) is not None and word.text != "end":
        if word.text != "aggregate":
            raise reader.complaint(word, "aggregate or end")
        function = reader.name()
        output = reader.text()
        options = reader.more_options()
        found.append({"function": function, "args": [output, options] if options else [output]})
    if word is None:
        raise reader.complaint(None, "the end of summarize")
    return found


class _Reader:
    """Goes through the tokens once; every complaint names what was found and its line."""

    def __init__(self, found: list[Token], file: str) -> None:
        self._tokens = found
        self._file = file
        self._at = 0

    def statement(self) -> Token | None:
        """The word that a statement begins with; None at the end of the file."""
        self._breaks()
        if self._at == len(self._tokens):
            return None
        token = self._take()
        if token.kind is not Kind.NAME:
            raise self.complaint(token, "a declaration")
        return token

    def options(self) -> dict[str, Any]:
        """`:key => value, key: value, …`, perhaps in brackets."""
        bracket = self.skip("(")
        found = self._pairs(deep=0)
        if bracket:
            self._breaks()
            self.expect(")")
        return found

    def more_options(self) -> dict[str, Any]:
        """The same after a comma, to the bracket if one was opened; none without a comma."""
        found = self._pairs(deep=0) if self.skip(",") else {}
        self.skip(")")
        return found

    def text(self) -> str:
        """A string or symbol: a first argument, with or without its bracket."""
        self.skip("(")
        token = self._take()
        if token.kind is not Kind.VALUE or not isinstance(token.value, str):
            raise self.complaint(token, "a name in quotes, or a symbol")
        return token.value

    def name(self) -> str:
        """A bare word."""
        token = self._take()
        if token.kind is not Kind.NAME:
            raise self.complaint(token, "a word")
        return token.text

    def expect(self, text: str) -> None:
        """Exactly that token."""
        token = self._take()
        if token.text != text or token.kind is Kind.VALUE:
            raise self.complaint(token, text)

    def skip(self, text: str) -> bool:
        """Pass over this token if it comes next; whether it did."""
        there = self._peek() == text
        self._at += there
        return there

    def complaint(self, token: Token | None, wanted: str) -> InvalidInterface:
        """What is wrong, and where."""
        if token is None:
            return InvalidInterface(f"{self._file}: ends where {wanted} was expected")
        seen = "the end of the line" if token.kind is Kind.BREAK else repr(token.text[:40])
        return InvalidInterface(
            f"{self._file}, line {token.line}: {seen} where {wanted} was expected;"
            " only plain declarations are read"
        )

    def _pairs(self, deep: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while True:
            self._breaks()
            token = self._take()
            if token.kind is Kind.VALUE and isinstance(token.value, str):
                self.expect("=>")
            elif token.kind is not Kind.LABEL:
                raise self.complaint(token, "a key")
            found[token.value] = self._value(deep)
            before = self._at
            self._breaks()
            if not self.skip(","):
                self._at = before
                return found

    def _value(self, deep: int) -> Any:
        self._breaks()
        token = self._take()
        if deep > DEEPEST:
            raise self.complaint(token, "a value nested less deep")
        if token.kind is Kind.VALUE:
            return token.value
        if token.text in _WORDS:
            return _WORDS[token.text]
        if token.text == "[":
            return self._array(deep)
        if token.text == "{":
            self._breaks()
            found = {} if self._peek() == "}" else self._pairs(deep + 1)
            self._breaks()
            self.expect("}")
            return found
        raise self.complaint(token, "a plain value")

    def _array(self, deep: int) -> list[Any]:
        found: list[Any] = []
        while True:
            self._breaks()
            if self.skip("]"):
                return found
            found.append(self._value(deep + 1))
            self._breaks()
            if not self.skip(","):
                self.expect("]")
                return found

    def _breaks(self) -> None:
        while self._at < len(self._tokens) and self._tokens[self._at].kind is Kind.BREAK:
            self._at += 1

    def _peek(self) -> str:
        if self._at == len(self._tokens) or self._tokens[self._at].kind is Kind.VALUE:
            return ""
        return self._tokens[self._at].text

    def _take(self) -> Token:
        if self._at == len(self._tokens):
            raise self.complaint(None, "more")
        self._at += 1
        return self._tokens[self._at - 1]


_WORDS = {"true": True, "false": False, "nil": None}
