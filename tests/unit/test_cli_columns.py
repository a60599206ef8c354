"""Tables: whole when piped, made to fit a terminal."""

import io

from fleetjobs.cli.columns import Column, draw
from fleetjobs.cli.screen import Screen, cells

COLUMNS = (Column("job"), Column("state"), Column("action", wraps=True), Column("asked"))
ROWS = (("01a1fc0517be744a", "running", "package.update_everything", "1 min ago"),)


def drawn(width: int, *, is_terminal: bool = True) -> list[str]:
    """The lines of the table on a screen of so many columns."""
    file = io.StringIO()
    draw(Screen(file=file, is_terminal=is_terminal, has_colour=False, width=width), COLUMNS, ROWS)
    return file.getvalue().splitlines()


def test_a_wide_terminal_shows_all() -> None:
    assert drawn(100)[1] == "01a1fc0517be744a  running  package.update_everything  1 min ago"


def test_a_narrow_one_shortens_what_may_be_shortened() -> None:
    assert drawn(50)[1] == "01a1fc0517be744a  running  package.upd…  1 min ago"


def test_a_narrower_one_leaves_out_columns_and_keeps_the_name_whole() -> None:
    assert drawn(40)[1] == "01a1fc0517be744a  running  package.upda…"
    assert drawn(26) == ["JOB               STATE", "01a1fc0517be744a  running"]
    assert drawn(5)[1] == "01a1fc0517be744a  running"


def test_what_is_piped_is_never_shortened() -> None:
    assert drawn(10, is_terminal=False) == drawn(100)


def test_wide_and_combining_signs_count_as_the_terminal_does() -> None:
    assert cells("日本") == 4
    assert cells("e\u0301") == 1
