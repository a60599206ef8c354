"""Conditions: when a job may start, what it waits for, and how often it is tried."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from fleetjobs.errors import InvalidDocument, InvalidTime
from fleetjobs.names import job_id, node_id
from fleetjobs.requests import After
from fleetjobs.rollouts import Rollout, check_rollout
from fleetjobs.states import StartIf
from fleetjobs.times import read_time, say_time

NEVER = "never"  #: of `start_before`: it is never too late
LATE = timedelta(hours=1)  #: a job with a time starts so much later at most, unless told otherwise

Moment = datetime | timedelta | str  #: a timedelta: so long from now; a text: see times.read_time


class Conditions(Struct, frozen=True, kw_only=True):
    """What has to hold before a job starts."""

    not_before: datetime | None = None  # None: at once
    start_before: datetime | None = None  # None: as the server sees fit; see `keep`
    keep: bool = False  # never too late
    after: tuple[After, ...] = ()
    retries: int | None = None  # None: as the action declares
    rollout: Rollout | None = None  # None: all nodes at once
    priority: int = 0  # among those of its org that wait for a slot; the higher goes first
    splay_s: float = 0.0  # its nodes begin spread over so long

    @property
    def fields(self) -> dict[str, Any]:
        """As fields of a Request."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


AT_ONCE = Conditions()


def make_conditions(
    now: datetime,
    *,
    at: Moment | None = None,
    delay: float | timedelta | None = None,  # seconds
    after: object = (),
    start_before: Moment | None = None,
    retries: int | None = None,
    rollout: Rollout | None = None,
    priority: int = 0,
    splay: float | timedelta = 0.0,  # seconds
) -> Conditions:
    """Conditions as a person gives them. Raises InvalidTime, InvalidDocument, InvalidRollout.

    `after`: a job, its id, or `JOB[@node][:succeeded|failed|completed|always]`; or several.
    What has a time and no `start_before` starts within the hour or not at all: a restart that
    was meant for the night should not come at noon.
    """
    if rollout is not None:
        check_rollout(rollout)
    spread = _span(splay)
    not_before = _begin(at, delay, now)
    keep = start_before == NEVER
    end = None if keep or start_before is None else read_moment(start_before, now)
    if end is None and not keep and not_before is not None and rollout is None:
        end = not_before + spread + LATE
    if end is not None and end <= max(now, not_before or now):
        first, last = say_time(not_before or now), say_time(end)
        raise InvalidTime(f"there is no time to start from {first} on and before {last}")
    return Conditions(
        not_before=not_before,
        start_before=end,
        keep=keep,
        after=tuple(read_after(each) for each in _several(after)),
        retries=retries,
        rollout=rollout,
        priority=priority,
        splay_s=spread.total_seconds(),
    )


def _begin(at: Moment | None, delay: float | timedelta | None, now: datetime) -> datetime | None:
    if at is not None and delay is not None:
        raise InvalidTime("a time and a delay exclude each other")
    if delay is not None:
        at = _span(delay)
    return None if at is None else read_moment(at, now)


def _span(seconds: float | timedelta) -> timedelta:
    return seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)


def read_moment(moment: Moment, now: datetime) -> datetime:
    """The moment, in UTC. Raises InvalidTime."""
    if isinstance(moment, timedelta):
        return now + moment
    if isinstance(moment, str):
        return read_time(moment, now)
    if moment.tzinfo is None:
        raise InvalidTime(f"{moment} has no zone; write {moment.isoformat()}+00:00 or such")
    return moment.astimezone(UTC)


def read_after(wanted: object) -> After:
    """What a job is to wait for: a handle, an id, or JOB[@node][:when]. Raises InvalidDocument."""
    if isinstance(wanted, After):
        return wanted
    text = str(getattr(wanted, "id", wanted))
    name, colon, when = text.partition(":")
    job, at, node = name.partition("@")
    if colon and when not in frozenset(StartIf):
        raise InvalidDocument(f"{text!r}: {when!r} is none of {', '.join(StartIf)}")
    return After(
        job=job_id(job),
        node=node_id(node) if at else None,
        when=StartIf(when) if colon else StartIf.SUCCEEDED,
    )


def _several(after: object) -> Iterable[object]:
    if after is None:
        return ()
    return after if isinstance(after, list | tuple | set | frozenset) else (after,)
