"""Listing: a list of documents, as one JSON document or as a table."""

from collections.abc import Callable, Sequence
from typing import Any

from fleetjobs.cli.columns import Column, draw
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import Exit
from fleetjobs.cli.screen import stderr, stdout


def show_list(
    found: dict[str, Any],
    columns: Sequence[Column],
    row: Callable[[dict[str, Any]], Sequence[object]],
    *,
    as_json: bool,
    if_none: str = "",
) -> int:
    """Print the `items` of what was found; the exit code. With none, `if_none` is said instead."""
    if as_json:
        stdout().write(in_json(found))
    elif if_none and not found["items"]:
        stderr().write(if_none)
    else:
        draw(stdout(), columns, [row(item) for item in found["items"]])
    return Exit.OK
