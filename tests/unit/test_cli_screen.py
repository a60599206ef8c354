"""What reaches a terminal, and what does not."""

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.cli.screen import WIDE, Screen, clean, line, shorten


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain é 日本", "plain é 日本"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPdevice\x1b\\x", "x"),
        ("back\x08space\x00\x7f", "backspace"),
        ("\x9b31mC1", "31mC1"),
        ("right\u202eleft", "rightleft"),
        ("half \ud800", "half \ufffd"),
        ("over\rwritten", "overwritten"),
    ],
)
def test_a_terminal_gets_nothing_to_act_on(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(st.text())
def test_no_text_keeps_a_control_character(text: str) -> None:
    kept = clean(text)

    assert not any(ord(sign) < 32 and sign not in "\n\t" for sign in kept)
    assert not any(0x7F <= ord(sign) <= 0x9F for sign in kept)
    kept.encode()


def test_a_line_is_one_line() -> None:
    assert line("a\n  b\tc\r\nd") == "a b c d"


@given(st.text(max_size=30), st.integers(min_value=1, max_value=20))
def test_a_shortened_text_fits(text: str, width: int) -> None:
    from fleetjobs.cli.screen import cells

    assert cells(shorten(text, width)) <= width


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It does."""
        return True


@pytest.mark.parametrize(
    ("environ", "has_colour"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    environ: dict[str, str], *, has_colour: bool
) -> None:
    assert Screen.of(Terminal(), environ).has_colour is has_colour
    assert not Screen.of(io.StringIO(), environ).has_colour


def test_colours_can_be_forced_into_a_pipe() -> None:
    assert Screen.of(io.StringIO(), {"FORCE_COLOR": "1"}).paint("x", "red") == "\x1b[31mx\x1b[0m"


@pytest.mark.parametrize(("said", "width"), [("42", 42), ("0", WIDE), ("wide", WIDE), ("", WIDE)])
def test_a_screen_is_as_wide_as_is_said(
    said: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is said, and nothing is a terminal, it is as wide as most are."""

    def none(_: int) -> os.terminal_size:
        raise OSError("no terminal")

    monkeypatch.setattr(os, "get_terminal_size", none)

    assert Screen.of(io.StringIO(), {"COLUMNS": said}).width == width


def test_a_long_line_is_broken_between_words_on_a_terminal() -> None:
    """Which would break it anywhere; a file gets it whole."""
    seen = io.StringIO()
    screen = Screen(file=seen, is_terminal=True, has_colour=True, width=16)

    screen.write_folded(f"  {screen.paint('name', 'cyan')}  what it is called", 4)

    assert seen.getvalue() == "  \x1b[36mname\x1b[0m  what it\n    is called\n"
    Screen(file=seen, is_terminal=False, has_colour=False, width=16).write_folded(
        "x" * 9 + " y" * 9, 4
    )
    assert seen.getvalue().endswith("x y y y y y y y y y\n")
