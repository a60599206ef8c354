"""Moments: times and durations as people write them."""

import re
from datetime import UTC, datetime, timedelta

from fleetjobs.errors import InvalidTime

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
LONGEST = timedelta(days=3650)
_DURATION = re.compile(r"\A([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(s|m|h|d|w)?\Z")


def read_duration(text: str) -> timedelta:
    """A duration such as 30, 30s, 5m, 2h or 1d. Raises InvalidTime."""
    found = _DURATION.match(text.strip().lower())
    duration = timedelta(seconds=float(found[1]) * UNITS[found[2] or "s"]) if found else None
    if duration is None or duration > LONGEST:
        raise InvalidTime(f"{text[:60]!r} is no duration; write 30s, 5m, 2h or 1d")
    return duration


def read_moment(text: str, now: datetime) -> datetime:
    """A time in UTC, from `2026-12-01 04:00` (local), RFC 3339, or `+2h`. Raises InvalidTime."""
    try:
        if text.startswith("+"):
            return now + read_duration(text[1:])
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (InvalidTime, ValueError, OverflowError, OSError):
        raise InvalidTime(
            f"{text[:60]!r} is no time; write '2026-12-01 04:00' (local), 2026-12-01T04:00:00Z,"
            " or +2h"
        ) from None
