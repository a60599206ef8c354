"""Windows: times in which starting is allowed or forbidden; what has started may finish.

Where any window allows something, it may start inside one of those only; a blackout beats them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice, takewhile
from typing import Annotated

from msgspec import Meta, Struct

from fleetjobs.errors import InvalidSchedule
from fleetjobs.schedules.recurrence import check_recurs, occurrences
from fleetjobs.schedules.rules import Rule
from fleetjobs.targets import Target, check_target

LOOK_AHEAD = timedelta(days=366)  #: who may not start within a year will not start
STEPS_MOST = 100  #: a search looks at so many periods; behind more of them nobody waits, either


class WindowKind(StrEnum):
    """What a window says."""

    ALLOWED = "allowed"
    BLACKOUT = "blackout"


class Opening(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Times of the same length that recur, or one of them."""

    rule: Rule  # of the beginnings
    lasts_s: Annotated[float, Meta(gt=0, le=366 * 86400, description="seconds")]
    anchor: datetime = datetime(2020, 1, 1, tzinfo=UTC)  # where intervals begin to count
    without: tuple[datetime, ...] = ()  # beginnings that are left out


class Window(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A named set of such times."""

    name: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]
    kind: WindowKind
    target: Target = Target()  # the nodes that it is about; empty: all
    fleet: bool = False  # of all orgs, not only its own
    openings: Annotated[tuple[Opening, ...], Meta(min_length=1, max_length=1000)]


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """From `start` on, up to and without `end`; both in UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether something may start, which window says no, and from when on it may."""

    is_open: bool
    because: str | None = None  # the name of a blackout; None if closed: no window allows it now
    opens_at: datetime | None = None  # None if closed: not in sight


def check_window(window: Window) -> None:
    """Let a window pass whose openings come true. Raises InvalidSchedule, InvalidTarget."""
    check_target(window.target)
    for opening in window.openings:
        try:
            check_recurs(opening.rule, opening.anchor)
        except InvalidSchedule as error:
            raise InvalidSchedule(f"window {window.name}: {error}") from None


def is_open(windows: Sequence[Window], moment: datetime) -> bool:
    """Whether something that all these windows are about may start at the moment."""
    return _closed(*_sorted(windows), moment)[1] == moment


def judge_windows(windows: Sequence[Window], moment: datetime) -> Verdict:
    """The same with which window says no, and when it opens; that takes a search."""
    blackouts, allowing = _sorted(windows)
    because, place = None, moment
    for _ in range(STEPS_MOST):
        if place > moment + LOOK_AHEAD:
            break
        name, opens = _closed(blackouts, allowing, place)
        if opens is None:
            return Verdict(is_open=False, because=because or name)
        if opens == place:
            opens_at = None if place == moment else place
            return Verdict(is_open=opens_at is None, because=because, opens_at=opens_at)
        if place == moment:
            because = name
        place = opens
    return Verdict(is_open=False, because=because)


def closes_at(windows: Sequence[Window], moment: datetime) -> datetime | None:
    """When starting ends to be allowed that is allowed at the moment; None: not in sight."""
    blackouts, allowing = _sorted(windows)
    starts = [
        period.start
        for window in blackouts
        for period in islice(periods(window, moment), 1)
        if period.start - moment <= LOOK_AHEAD
    ]
    ends = moment
    for _ in range(STEPS_MOST if allowing else 0):
        further = [
            period.end
            for window in allowing
            for period in takewhile(lambda one: one.start <= ends, periods(window, ends))  # noqa: B023  used at once
        ]
        if not further or max(further) - moment > LOOK_AHEAD:
            break
        ends = max(further)
    if allowing and ends - moment <= LOOK_AHEAD:
        starts.append(ends)
    return min(starts, default=None)


def _sorted(windows: Sequence[Window]) -> tuple[list[Window], list[Window]]:
    """The blackouts, and those that allow."""
    blackouts = [window for window in windows if window.kind is WindowKind.BLACKOUT]
    return blackouts, [window for window in windows if window.kind is WindowKind.ALLOWED]


def _closed(
    blackouts: Sequence[Window], allowing: Sequence[Window], moment: datetime
) -> tuple[str | None, datetime | None]:
    """The blackout in force, and the earliest moment at which this answer changes.

    That is the moment itself if nothing is closed, and None if no window will ever allow it.
    """
    for window in blackouts:
        period = next(periods(window, moment), None)
        if period is not None and period.start <= moment:
            return window.name, period.end
    ahead = [period for window in allowing if (period := next(periods(window, moment), None))]
    if not allowing:
        return None, moment
    return None, max(moment, min(period.start for period in ahead)) if ahead else None


def periods(window: Window, after: datetime) -> Iterator[Period]:
    """The window's times that end later than `after`; those of one opening in order."""
    found = [_periods(opening, after) for opening in window.openings]
    return _merged(found)


def _periods(opening: Opening, after: datetime) -> Iterator[Period]:
    """Its length is elapsed time: a window from 1 to 5 is not an hour longer in autumn."""
    lasts = timedelta(seconds=opening.lasts_s)
    for start in occurrences(opening.rule, opening.anchor, after - lasts):
        if start not in opening.without:
            yield Period(start, start + lasts)


def _merged(many: Iterable[Iterator[Period]]) -> Iterator[Period]:
    """All of them by their beginnings; read no further than is asked for."""
    heads = [(period, rest) for rest in many if (period := next(rest, None)) is not None]
    while heads:
        heads.sort(key=lambda head: head[0])
        period, rest = heads.pop(0)
        yield period
        following = next(rest, None)
        if following is not None:
            heads.append((following, rest))
