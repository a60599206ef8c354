"""Forecasts: what windows will make of the times of a schedule, before they come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from fleetjobs.control.acceptance import Weighed
from fleetjobs.control.blackouts import Blackouts
from fleetjobs.control.drafts import Draft
from fleetjobs.control.foresight import closed, judge
from fleetjobs.names import NodeId
from fleetjobs.schedules.documents import Schedule
from fleetjobs.schedules.windows import Verdict
from fleetjobs.store.gates import Gates

START_WITHIN_S = 3600.0  #: of each job, if the schedule says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """A time at which windows do not let everything begin."""

    at: datetime
    skipped: bool  # no job will come of it; False: runs wait, or expire
    text: str  # why, for people


def forecast(
    connection: Connection,
    schedule: Schedule,
    found: Draft | Weighed,
    moments: Sequence[datetime],
    *,
    org: str,
) -> list[Clash]:
    """Which of the moments clash with windows, as these and the nodes are now."""
    firsts: Sequence[Weighed] = (
        [found] if isinstance(found, Weighed) else list(found.firsts.values())
    )
    gates = Gates.read(connection, {node for one in firsts for node in one.nodes})
    if not gates.calendars:
        return []
    dark = Blackouts.read(connection, org).hold(moments, schedule.work)
    clashes = []
    for moment in moments:
        judged = {
            node: verdict
            for one in firsts
            for node, (verdict, _) in judge(gates, one, moment).items()
        }
        is_plan = isinstance(found, Draft)
        if moment in dark:
            clashes.append(Clash(at=moment, skipped=True, text=_names(judged)))
        elif not (is_plan and any(verdict.is_open for verdict in judged.values())):
            texts = list(closed(judged, moment + _patience(schedule)))
            if texts:
                clashes.append(Clash(at=moment, skipped=False, text="; ".join(texts)))
    return clashes


def _patience(schedule: Schedule) -> timedelta:
    within_s = START_WITHIN_S if schedule.start_within_s is None else schedule.start_within_s
    return timedelta(seconds=within_s + schedule.splay_s)


def _names(judged: Mapping[NodeId, Verdict]) -> str:
    names = sorted({verdict.because for verdict in judged.values() if verdict.because})
    return f"window {', '.join(names)}" if names else "a blackout"
