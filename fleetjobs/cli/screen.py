"""Screen: where output goes, what it can show there, and what must not reach it."""

import os
import re
import sys
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import click

STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
WIDE = 100  #: columns, where nobody knows how many there are

#: what a terminal would act on: escape sequences whole, so that nothing of them is left
_SEQUENCE = r"(?s)\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x1b\\|\x07|\Z)|.)"
_HARMFUL = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
_LONE = "[\ud800-\udfff]"


class Screen(NamedTuple):
    """What one output stream can do."""

    file: TextIO
    is_terminal: bool
    has_colour: bool
    width: int  # columns

    @classmethod
    def of(cls, file: TextIO, environ: Mapping[str, str] = os.environ) -> "Screen":
        """The screen behind a stream. Honours NO_COLOR, FORCE_COLOR, TERM=dumb and COLUMNS."""
        is_terminal = file.isatty()
        has_colour = is_terminal and environ.get("TERM") != "dumb"
        if environ.get("NO_COLOR"):
            has_colour = False
        elif environ.get("FORCE_COLOR"):
            has_colour = True
        width = _columns(environ)
        return cls(file=file, is_terminal=is_terminal, has_colour=has_colour, width=width)

    def paint(self, text: str, style: str) -> str:
        """The text in a style, where there are styles."""
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self.has_colour and text else text

    def write(self, text: str = "") -> None:
        """A line, or several."""
        self.file.write(text + "\n")

    def write_folded(self, text: str, indent: int) -> None:
        """A line, on a terminal broken between words; its further lines are indented so far."""
        if not self.is_terminal:
            self.write(text)
            return
        first, *words = text.lstrip(" ").split(" ")
        row = " " * (len(text) - len(text.lstrip(" "))) + first
        for word in words:
            if cells(re.sub(_SEQUENCE, "", f"{row} {word}")) > self.width:
                self.write(row)
                row = " " * indent + word
            else:
                row = f"{row} {word}"
        self.write(row)

    def flush(self) -> None:
        """Let it be seen now."""
        self.file.flush()


def _columns(environ: Mapping[str, str]) -> int:
    """As many as COLUMNS says, or the terminal has; shutil knows, too, and loads all packers."""
    said = environ.get("COLUMNS", "")
    if said.isdecimal() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(1).columns or WIDE  # of standard output, whatever was asked
    except OSError:
        return WIDE


def stdout() -> Screen:
    """Where data goes."""
    return Screen.of(sys.stdout)


def stderr() -> Screen:
    """Where everything else goes: progress, remarks, errors."""
    return Screen.of(sys.stderr)


def clean(text: str) -> str:
    """A text from elsewhere, without anything a terminal would act on; lines and tabs are kept."""
    if text.isprintable():
        return text  # nearly always, and then no pattern is compiled
    text = re.sub(_SEQUENCE, "", text) if "\x1b" in text else text
    return re.sub(_LONE, "\ufffd", re.sub(_HARMFUL, "", text.replace("\r\n", "\n")))


def line(value: Any) -> str:
    """A text from elsewhere as one line."""
    return " ".join(clean(str(value)).split())


def cells(text: str) -> int:
    """How many columns a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(sign) else 1 + (unicodedata.east_asian_width(sign) in "WF")
        for sign in text
    )


def shorten(text: str, width: int) -> str:
    """The text in at most so many columns, with `…` for what is left out."""
    if cells(text) <= width:
        return text
    kept = text[: max(width - 1, 0)]
    while kept and cells(kept) > width - 1:
        kept = kept[:-1]
    return kept + "…" if width > 0 else ""


def read_text(file: str, named: str = "") -> str:
    """What is in the file, or with `-` comes by standard input. Raises ClickException.

    `named` is how a person named it, with its option.
    """
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise click.ClickException(f"{named or file}: cannot be read: {reason}") from None
