"""Resolving: what becomes of jobs with a time when a window changes."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec.structs import replace

from fleetjobs.api.desk import Desk
from fleetjobs.api.faults import InvalidParameter
from fleetjobs.control.windows import Displaced
from fleetjobs.documents import encode
from fleetjobs.errors import Conflict, Refused
from fleetjobs.jobs import Job
from fleetjobs.store.access import Account

SHOWN = 5  #: jobs a refusal names at most


class Resolve(StrEnum):
    """How a job gives way."""

    NEXT = "next"  # it is moved to the next opening
    NEAREST = "nearest"  # to the opening that is nearest, before or after its time
    PREVIOUS = "previous"  # to the last opening before its time
    CANCEL = "cancel"  # it is cancelled
    REFUSE = "refuse"  # it does not: the window is not changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How one job gives way."""

    job: Job
    was: datetime
    how: Resolve
    moved_to: datetime | None  # None: it is cancelled

    def take(self, desk: Desk, caller: Account) -> None:
        """Move or cancel it; one that has begun or ended meanwhile stays as it is."""
        who: dict[str, Any] = {"org": caller.org, "account": caller.name}
        with suppress(Refused):
            if self.moved_to is None:
                desk.control.verbs.cancel(self.job.id, **who)
                return
            edits = desk.control.edits
            asked = edits.request(self.job.id, org=caller.org)
            end = asked.start_before
            moved = replace(
                asked,
                not_before=self.moved_to,
                start_before=None if end is None else end + (self.moved_to - self.was),
            )
            sealed = desk.key.seal(encode(moved))
            edits.edit(sealed, moved, version=self.job.version, **who)


def resolve(displaced: Sequence[Displaced], wanted: Sequence[str]) -> list[Way]:
    """How each of them gives way, by the first of the wishes that can be had.

    Raises Conflict if one can give way in none, InvalidParameter.
    """
    try:
        order = [Resolve(word) for word in wanted]
    except ValueError:
        known = ", ".join(Resolve)
        raise InvalidParameter(f"resolve: words of {known}", field="resolve") from None
    ways = [_way(each, order) for each in displaced]
    stuck = [each.job.id for each, way in zip(displaced, ways, strict=True) if way is None]
    if stuck:
        listed = ", ".join(stuck[:SHOWN]) + (", …" if len(stuck) > SHOWN else "")
        raise Conflict(
            f"{len(stuck)} jobs were to begin when the window forbids it: {listed}; "
            "say what becomes of them: resolve=next,nearest,previous,cancel"
        )
    return [way for way in ways if way is not None]


def _way(found: Displaced, order: Sequence[Resolve]) -> Way | None:
    was = found.job.not_before
    if was is None:
        return None
    for how in order:
        if how is Resolve.REFUSE:
            return None
        if how is Resolve.CANCEL:
            return Way(job=found.job, was=was, how=how, moved_to=None)
        moment = _moment(found, was, how)
        if moment is not None:
            return Way(job=found.job, was=was, how=how, moved_to=moment)
    return None


def _moment(found: Displaced, was: datetime, how: Resolve) -> datetime | None:
    if how is Resolve.NEXT:
        return found.next_at
    if how is Resolve.PREVIOUS:
        return found.previous_at
    both = [moment for moment in (found.next_at, found.previous_at) if moment is not None]
    return min(both, key=lambda moment: abs(moment - was), default=None)
