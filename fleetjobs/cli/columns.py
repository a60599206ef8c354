"""Columns: tables of plain text, aligned; made to fit a terminal, but whole when piped.

On a narrow terminal long cells are shortened, then columns are left out from the right. The first
column names its row, so that it can be copied: it is never shortened.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from fleetjobs.cli.screen import Screen, cells, line, shorten

GAP = "  "
LEAST = 8  #: columns that a shortened cell keeps
FEWEST = 2  #: columns of the table that are never left out


class Column(NamedTuple):
    """One column: its title, and how its cells look."""

    title: str
    style: Callable[[str], str | None] | str | None = None  # a style, or the style of a text
    right: bool = False
    wraps: bool = False  # its cells may be shortened


def draw(screen: Screen, columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
    """Write the table; what comes from elsewhere is cleaned here."""
    texts = [["" if cell is None else line(cell) for cell in row] for row in rows]
    widths = [
        max([cells(column.title), *(cells(row[at]) for row in texts)])
        for at, column in enumerate(columns)
    ]
    if screen.is_terminal:
        widths = _fit(widths, columns, screen.width)
    kept = columns[: len(widths)]
    titles = [column.title.upper() for column in kept]
    screen.write(_row(screen, kept, titles, widths, style="bold"))
    for row in texts:
        screen.write(_row(screen, kept, row[: len(widths)], widths))


def fits(screen: Screen, columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> bool:
    """Whether a table can be shown with nothing shortened or left out."""
    if not screen.is_terminal:
        return True
    wide = [
        max([cells(column.title), *(cells(line(row[at] or "")) for row in rows)])
        for at, column in enumerate(columns)
    ]
    return sum(wide) + len(GAP) * (len(wide) - 1) <= screen.width


def _fit(widths: list[int], columns: Sequence[Column], most: int) -> list[int]:
    """The widths of the columns that fit, the last ones left out if they must be."""
    for count in range(len(widths), FEWEST - 1, -1):
        fitting = widths[:count]
        excess = sum(fitting) + len(GAP) * (count - 1) - most
        while excess > 0:
            willing = [at for at in range(1, count) if columns[at].wraps and fitting[at] > LEAST]
            if not willing:
                break
            fitting[max(willing, key=lambda at: fitting[at])] -= 1
            excess -= 1
        if excess <= 0:
            return fitting
    return widths[:FEWEST]


def _row(
    screen: Screen,
    columns: Sequence[Column],
    row: Sequence[str],
    widths: Sequence[int],
    style: str | None = None,
) -> str:
    parts = []
    for at, (column, text, width) in enumerate(zip(columns, row, widths, strict=True)):
        shown = shorten(text, width)
        pad = " " * (width - cells(shown))
        if at == len(widths) - 1 and not column.right:
            pad = ""
        wanted = style or (column.style(text) if callable(column.style) else column.style)
        painted = screen.paint(shown, wanted) if wanted else shown
        parts.append(pad + painted if column.right else painted + pad)
    return GAP.join(parts).rstrip()
