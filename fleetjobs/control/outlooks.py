"""Outlooks: what a schedule will come to: when, where, which times clash with windows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection
from uuid_utils.compat import uuid7

from fleetjobs.control.acceptance import Weighed
from fleetjobs.control.drafts import Draft
from fleetjobs.control.forecasts import Clash, forecast
from fleetjobs.control.resolving import resolve
from fleetjobs.control.schedules import Schedules
from fleetjobs.control.works import Asker, nodes_of
from fleetjobs.errors import Refused
from fleetjobs.names import JobId, NodeId
from fleetjobs.schedules.documents import Schedule, Work
from fleetjobs.schedules.recurrence import anchor_of, occurrences
from fleetjobs.store.schedules import Entry
from fleetjobs.store.windows import list_windows

SHOWN = 5  #: moments that are counted out where nobody says how many
MOST = 1000  #: moments that are counted out at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a schedule would come to."""

    shown: dict[str, Any]  # it, secrets masked
    nodes: Sequence[NodeId]  # that are meant now
    moments: Sequence[datetime]
    clashes: Sequence[Clash]


@dataclass(frozen=True, slots=True)
class Outlooks:
    """Looks ahead, and keeps nothing; safe from any thread."""

    schedules: Schedules

    def of(self, schedule: Schedule, *, org: str, account: str) -> Outlook:
        """Of a schedule that is not made yet. Raises as making it would."""
        now = self.schedules.clock()
        anchor = anchor_of(schedule.rule, max(now, schedule.active_from or now))
        with self.schedules.database.reading() as connection:
            shown = self.schedules.vet(connection, schedule, org, account, anchor)
            moments = _until(occurrences(schedule.rule, anchor, now), schedule, SHOWN)
            found = self._draw(connection, schedule.work, org, account)
            clashes = forecast(connection, schedule, found, moments, org=org)
        return Outlook(shown=shown, nodes=nodes_of(found), moments=moments, clashes=clashes)

    def preview(self, entry: Entry, count: int, after: datetime | None = None) -> list[datetime]:
        """Its next so many occurrences, whether enabled or not."""
        begin = max(after or self.schedules.clock(), entry.seen_at)
        return _until(occurrences(entry.document.rule, entry.anchor, begin), entry.document, count)

    def clashes(self, entry: Entry, moments: Sequence[datetime]) -> list[Clash]:
        """Which of these moments clash with windows, or are left out, as far as can be told now.

        The moments are those that come next.
        """
        left_out = [
            Clash(at=moment, skipped=True, text="somebody wanted it left out")
            for moment in moments[: entry.skips]
        ]
        return left_out + self._clashes(entry, moments[entry.skips :])

    def _clashes(self, entry: Entry, moments: Sequence[datetime]) -> list[Clash]:
        with self.schedules.database.reading() as connection:
            if not moments or not list_windows(connection, entry.org):
                return []
            try:
                found = self._draw(connection, entry.document.work, entry.org, entry.owner)
            except Refused:  # its job will say why
                return []
            return forecast(connection, entry.document, found, moments, org=entry.org)

    def _draw(self, connection: Connection, work: Work, org: str, caller: str) -> Draft | Weighed:
        asker = Asker(
            connection=connection,
            acceptance=self.schedules.acceptance,
            seal=lambda _: "",
            org=org,
            caller=caller,
            now=self.schedules.clock(),
        )
        return asker.draw(resolve(connection, work, org=org), JobId(str(uuid7())))


def _until(moments: Iterable[datetime], schedule: Schedule, count: int) -> list[datetime]:
    """The first so many, up to the schedule's end."""
    till = schedule.active_till
    found = islice(moments, min(count, MOST))
    return [moment for moment in found if till is None or moment <= till]
