"""Counts: how many of an org's jobs and runs stand where."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from fleetjobs.states import State
from fleetjobs.store.schema import jobs, runs


@dataclass(frozen=True, slots=True)
class JobCounts:
    """Jobs by state, and those that wait for a person."""

    states: Counter[State]
    attention: int


def count_jobs(connection: Connection, org: str) -> JobCounts:
    """How the org's jobs stand, all of them."""
    query = (
        select(jobs.c.state, jobs.c.attention, func.count())
        .where(jobs.c.org == org)
        .group_by(jobs.c.state, jobs.c.attention)
    )
    states: Counter[State] = Counter()
    attention = 0
    for state, needed, number in connection.execute(query):
        states[State(state)] += number
        attention += number if needed else 0
    return JobCounts(states, attention)


def count_undelivered(connection: Connection, org: str, before: datetime) -> int:
    """How many of the org's runs were due for hand-over before that time and still are."""
    query = select(func.count()).where(runs.c.org == org, runs.c.dispatch_at < before)
    return connection.execute(query).scalar_one()
