"""Columns: tables of plain text, aligned; narrowed to fit a terminal, never when piped."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fleetjobs.cli.screen import Screen, cells, line, shorten

GAP = "  "
LEAST = 8  #: columns that a narrowed cell keeps


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its title, and how its cells look."""

    title: str
    style: Callable[[str], str | None] | str | None = None  # a style, or the style of a text
    right: bool = False
    wraps: bool = False  # may be narrowed first


def draw(screen: Screen, columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
    """Write the table; what comes from elsewhere is cleaned here."""
    texts = [["" if cell is None else line(cell) for cell in row] for row in rows]
    widths = [
        max([cells(column.title), *(cells(row[at]) for row in texts)])
        for at, column in enumerate(columns)
    ]
    if screen.is_terminal:
        widths = _fit(widths, columns, screen.width)
    titles = [column.title.upper() for column in columns]
    screen.write(_row(screen, columns, titles, widths, style="bold"))
    for row in texts:
        screen.write(_row(screen, columns, row, widths))


def _fit(widths: list[int], columns: Sequence[Column], most: int) -> list[int]:
    """Narrow the columns that may be until all fit, the widest first."""
    widths = list(widths)
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - most
    for willing in (True, False):
        while excess > 0:
            candidates = [
                at
                for at, column in enumerate(columns)
                if (column.wraps or not willing) and widths[at] > LEAST
            ]
            if not candidates:
                break
            widest = max(candidates, key=lambda at: widths[at])
            widths[widest] -= 1
            excess -= 1
    return widths


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
