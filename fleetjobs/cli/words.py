"""Words of the command line that are neither text nor number: durations, shares, moments."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from fleetjobs.clocks import now
from fleetjobs.errors import InvalidTime
from fleetjobs.times import UNITS, read_duration


class Share(click.ParamType[str]):
    """So many, as a number or a percentage; its values are texts."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Let it pass, or say what a share looks like."""
        if not re.fullmatch("[0-9]{1,9}%?", value):
            self.fail(f"{value!r} is neither a number, such as 2, nor a percentage", param, ctx)
        return str(value)


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
    """A moment, or how long ago it was: 2h; its values are aware, in UTC."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read it, or say what a moment looks like. Without a zone it is a local time."""
        if isinstance(value, datetime):
            return value
        try:
            return now() - read_duration(value)
        except InvalidTime:
            pass  # it is no duration: a time, then
        try:
            return datetime.fromisoformat(value.strip()).astimezone(UTC)
        except (ValueError, OverflowError, OSError):
            self.fail(
                f"{value!r} is no time; write '2026-12-01 04:00' (local), 2026-12-01T04:00:00Z, "
                "or 2h for two hours ago",
                param,
                ctx,
            )


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


def took_s(job: Mapping[str, Any]) -> float:
    """For how long a job that has ended was at work, in seconds; 0 while it lives."""
    began, ended = job["started_at"] or job["created_at"], job["ended_at"]
    if ended is None:
        return 0.0
    took = datetime.fromisoformat(ended) - datetime.fromisoformat(began)
    return max(took.total_seconds(), 0.0)


def headway(progress: Mapping[str, Any] | None) -> str:
    """How far a program says it has come, such as `40 % unpacking`; empty if it said nothing."""
    if progress is None:
        return ""
    percent = "" if progress["percent"] is None else f"{progress['percent']:.0f} %"
    return f"{percent} {progress['text']}".strip()
