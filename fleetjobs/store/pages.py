"""Pages: some of a list, and where to go on."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from fleetjobs.errors import InvalidDocument
from fleetjobs.names import job_id

T = TypeVar("T")
_SEPARATOR = "~"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list; `next` is the cursor of what follows, None at the end."""

    items: list[T]
    next: str | None


def time_cursor(at: datetime, name: str) -> str:
    """The place behind the row of that time and name; safe in a URL."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S.%f}{_SEPARATOR}{name}"


def read_time_cursor(cursor: str) -> tuple[datetime, str]:
    """The time and name of a place. Raises InvalidDocument."""
    try:
        at, name = cursor.split(_SEPARATOR)
        return datetime.strptime(at, "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC), job_id(name)
    except (ValueError, InvalidDocument):
        raise InvalidDocument(f"{cursor[:60]!r} is not a cursor we gave") from None
