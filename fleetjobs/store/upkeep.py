"""Upkeep of the database: what expires, what waits, and how all of it stands, in a few counts."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, text

from fleetjobs.names import JobId
from fleetjobs.store.schema.accounts import accounts, tokens
from fleetjobs.store.schema.jobs import TOP, jobs
from fleetjobs.store.schema.runs import runs


def orgs_of_jobs(connection: Connection, ids: list[JobId]) -> list[tuple[str, str]]:
    """The jobs with their orgs, in that order."""
    query = select(jobs.c.id, jobs.c.org).where(jobs.c.id.in_(ids))
    found = {row.id: row.org for row in connection.execute(query)}
    return [(found[job], job) for job in ids if job in found]


def job_counts(connection: Connection, org: str, since: datetime) -> dict[str, int]:
    """How many jobs of the org that were asked for since then stand in which state."""
    query = select(jobs.c.state, func.count()).where(
        jobs.c.org == org, jobs.c.created_at >= since, text(f"jobs.{TOP}")
    )
    return {str(row[0]): row[1] for row in connection.execute(query.group_by(jobs.c.state))}


def runs_in_need(connection: Connection, org: str) -> list[dict[str, Any]]:
    """The org's runs that wait for a person."""
    query = select(runs.c.job, runs.c.node, runs.c.state, runs.c.reason).where(
        text("runs.attention"), runs.c.org == org
    )
    rows = connection.execute(query.order_by(runs.c.job, runs.c.node)).mappings()
    return [{name: None if row[name] is None else str(row[name]) for name in row} for row in rows]


def expiring_tokens(
    connection: Connection, org: str, now: datetime, until: datetime
) -> list[tuple[str, str, datetime]]:
    """Account, name and end of the org's tokens that count now and will not then."""
    query = (
        select(tokens.c.account, tokens.c.name, tokens.c.expires_at)
        .join(accounts, accounts.c.name == tokens.c.account)
        .where(
            accounts.c.org == org,
            tokens.c.revoked_at.is_(None),
            tokens.c.expires_at > now,
            tokens.c.expires_at <= until,
        )
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]
