"""Logs made up for tests, and what a search of them told."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from tests.agent_programs import Called

EPOCH = datetime(2020, 11, 20, tzinfo=UTC)


def stamped(count: int, *, every: timedelta = timedelta(seconds=1)) -> Iterator[str]:
    """Lines of a log that starts with EPOCH."""
    for number in range(count):
        at = (EPOCH + number * every).strftime("%Y-%m-%dT%H:%M:%SZ")
        yield f"{at} web1 app[42]: request {number} took {number % 977} ms and ended well\n"


def texts(called: Called) -> list[str]:
    """The lines found."""
    return [line["text"] for line in called.data["lines"]]
