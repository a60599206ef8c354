"""Due: what becomes of the occurrences that have come since somebody looked last."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from fleetjobs.schedules.documents import Misfire, Schedule

PUNCTUAL = timedelta(seconds=60)  #: later than that an occurrence was missed, whatever the policy


class Fate(StrEnum):
    """What became of an occurrence: each has exactly one."""

    RAN = "ran"  # it is a job
    COALESCED = "coalesced"  # the job of a later occurrence stands for it
    MISSED = "missed"  # nobody was there to start it in time
    SKIPPED = "skipped"  # overlap, window, skip-next, or a paused fleet; the reason says which


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """An occurrence whose time has come."""

    at: datetime
    fate: Fate
    missed_count: int = 0  # with RAN: occurrences it stands for that did not start at their time


def judge_due(moments: Sequence[datetime], now: datetime, schedule: Schedule) -> list[Due]:
    """The fates of these moments, all past, in order, as far as lateness decides them."""
    if not moments:
        return []
    grace = timedelta(seconds=schedule.misfire_grace_s)
    if schedule.misfire is Misfire.SKIP:
        grace = min(grace, PUNCTUAL)
    hopeful = [moment for moment in moments if now - moment <= max(grace, timedelta())]
    match schedule.misfire:
        case Misfire.RUN_ALL:
            started = set(hopeful[-schedule.catch_up :])
        case Misfire.RUN_ONCE | Misfire.SKIP:
            started = set(hopeful[-1:])
    alone = schedule.misfire is not Misfire.RUN_ONCE
    return [
        Due(
            at=moment,
            fate=_fate(moment in started, coalesced=moment in hopeful and not alone),
            missed_count=_stands_for(moments, now, moment in started and not alone),
        )
        for moment in moments
    ]


def _fate(started: bool, *, coalesced: bool) -> Fate:  # noqa: FBT001  it is what is asked
    if started:
        return Fate.RAN
    return Fate.COALESCED if coalesced else Fate.MISSED


def _stands_for(moments: Sequence[datetime], now: datetime, stands: bool) -> int:  # noqa: FBT001
    """All of several moments were missed, the last one too: nobody was there when it came."""
    if not stands:
        return 0
    late = len(moments) > 1 or now - moments[-1] > PUNCTUAL
    return len(moments) if late else 0


def jitter(name: str, at: datetime, most_s: float) -> timedelta:
    """How much later an occurrence of that name starts: always the same, from 0 up to `most_s`."""
    drawn = hashlib.sha256(f"{name} {at.isoformat()}".encode()).digest()
    return timedelta(seconds=int.from_bytes(drawn[:7], "big") / 256**7 * most_s)
