"""Words of the command line that are neither text nor number: durations and moments."""

from datetime import UTC, datetime, timedelta
from typing import Any

import rich_click as click

from fleetjobs.client.moments import UNITS, read_duration, read_moment
from fleetjobs.errors import InvalidTime


class Duration(click.ParamType[timedelta]):
    """A duration; its values are timedeltas."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Read it, or say what a duration looks like."""
        if isinstance(value, timedelta):
            return value
        try:
            return read_duration(value)
        except InvalidTime as error:
            self.fail(str(error), param, ctx)


class Moment(click.ParamType[datetime]):
    """A moment, or a duration from now on; its values are aware, in UTC."""

    name = "time"

    def __init__(self, *, past: bool = False) -> None:
        """With `past` a duration counts back from now: 2h is two hours ago."""
        self._past = past

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read it, or say what a moment looks like. Without a zone it is a local time."""
        if isinstance(value, datetime):
            return value
        now = datetime.now(UTC)
        try:
            try:
                duration = read_duration(value)
            except InvalidTime:
                return read_moment(value, now)
            return now - duration if self._past else now + duration
        except InvalidTime as error:
            self.fail(str(error), param, ctx)


def ago(then: str | None, now: datetime) -> str:
    """How long ago a time of the interface was, in few words."""
    if then is None:
        return "never"
    seconds = int((now - datetime.fromisoformat(then)).total_seconds())
    if seconds < 0:
        return f"in {span(timedelta(seconds=-seconds))}"
    return "just now" if seconds < 5 else f"{span(timedelta(seconds=seconds))} ago"  # noqa: PLR2004


def span(duration: timedelta) -> str:
    """A duration in its one or two largest units."""
    seconds = duration.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < UNITS["m"]:
        return f"{seconds:.1f} s" if seconds % 1 else f"{seconds:.0f} s"
    return _in_units(int(seconds))


def _in_units(seconds: int) -> str:
    """From a minute up."""
    days, rest = divmod(seconds, UNITS["d"])
    hours, rest = divmod(rest, UNITS["h"])
    minutes, rest = divmod(rest, UNITS["m"])
    counts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next(at for at, (count, _) in enumerate(counts) if count)
    return " ".join(f"{count} {unit}" for count, unit in counts[first : first + 2] if count)


def local(moment: str | None) -> str:
    """A time of the interface as the clock on the wall shows it."""
    if moment is None:
        return ""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")
