"""Upkeep: what keeps a fleet's records in order; asked for by jobs like any other."""

import glob
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from cryptography import x509
from sqlalchemy import Connection

from fleetjobs.names import JobId
from fleetjobs.nodes import is_alive, is_builtin
from fleetjobs.notices import Topic, check_sinks
from fleetjobs.store.database import Database
from fleetjobs.store.nodes import list_nodes
from fleetjobs.store.notices import add_notices, make_notice, wishes_of
from fleetjobs.store.pruning import forget_jobs, forget_logs, old_jobs, old_logs
from fleetjobs.store.upkeep import expiring_tokens, job_counts, orgs_of_jobs, runs_in_need

BATCH = 50  #: jobs that are forgotten in one transaction
AHEAD = 100_000  #: jobs that a dry run lists at most

Find = Callable[[Connection, datetime, int], list[JobId]]
Forget = Callable[[Connection, Sequence[JobId]], None]


@dataclass(frozen=True, slots=True)
class Upkeep:
    """The desk of a fleet's own maintenance. Raises DatabaseAway."""

    database: Database
    clock: Callable[[], datetime]

    def prune(self, age: timedelta, *, dry_run: bool) -> list[tuple[str, str]]:
        """Forget jobs that ended so long ago; org and id of each, the oldest first.

        What is live, asks for attention or is named by what lives stays.
        """
        return self._prune(age, old_jobs, forget_jobs, dry_run=dry_run)

    def prune_logs(self, age: timedelta, *, dry_run: bool) -> list[tuple[str, str]]:
        """The same of what their runs wrote."""
        return self._prune(age, old_logs, forget_logs, dry_run=dry_run)

    def _prune(
        self, age: timedelta, find: Find, forget: Forget, *, dry_run: bool
    ) -> list[tuple[str, str]]:
        before = self.clock() - age
        if dry_run:
            with self.database.reading() as connection:
                return orgs_of_jobs(connection, find(connection, before, AHEAD))
        done: list[tuple[str, str]] = []
        while True:
            with self.database.transaction() as connection:
                ids = find(connection, before, BATCH)
                done += orgs_of_jobs(connection, ids)
                forget(connection, ids)
            if not ids:
                return done

    def vacuum(self, *, full: bool) -> tuple[int, int]:
        """Have the database tidy up; its bytes before and after."""
        before = self.database.size()
        self.database.vacuum(full=full)
        return before, self.database.size()

    def report(self, org: str, since: timedelta) -> dict[str, Any]:
        """How the org's nodes are, and its jobs since then."""
        now = self.clock()
        with self.database.reading() as connection:
            found = list_nodes(connection, org, with_facts=False)
            counts = job_counts(connection, org, now - since)
        nodes = [node for node in found if not is_builtin(node.identity)]
        silent = [node.identity for node in nodes if not is_alive(node, now)]
        return {
            "alive": len(nodes) - len(silent),
            "silent": silent,
            "refusing": [node.identity for node in nodes if node.refused],
            "versions": dict(Counter(node.software for node in nodes if node.software)),
            "jobs": counts,
        }

    def attention(self, org: str) -> list[dict[str, Any]]:
        """The org's runs that wait for a person to decide."""
        with self.database.reading() as connection:
            return runs_in_need(connection, org)

    def tell(self, org: str, job: str, document: dict[str, Any], sinks: Sequence[str]) -> int:
        """Have these sinks told, and whoever wishes to hear of reports; to how many it goes.

        Told once for each job, however often that is tried. Raises InvalidNotification.
        """
        check_sinks(sinks)
        now = self.clock()
        with self.database.transaction() as connection:
            wished = [
                sink
                for wish in wishes_of(connection, [job], [org])
                if wish.org == org and Topic.REPORT in wish.topics
                for sink in wish.sinks
            ]
            found = [
                make_notice(
                    id=str(uuid5(UUID(job), f"{Topic.REPORT} {sink}")),
                    org=org,
                    topic=Topic.REPORT,
                    sink=sink,
                    document=document,
                    now=now,
                    job=job,
                )
                for sink in dict.fromkeys([*sinks, *wished])
            ]
            add_notices(connection, found)
        return len(found)

    def expiring(self, org: str, within: timedelta, files: Sequence[str]) -> list[dict[str, Any]]:
        """The org's tokens and the certificates in the files that end so soon, the first first."""
        now = self.clock()
        with self.database.reading() as connection:
            tokens = expiring_tokens(connection, org, now, now + within)
        found = [(at, f"the token {name} of {account}") for account, name, at in tokens]
        paths = {path for pattern in files for path in glob.glob(pattern)}  # noqa: PTH207  whole paths, not below one
        for path in sorted(paths):
            found += [(at, path) for at in _ends_of(Path(path)) if at <= now + within]
        return [{"what": what, "at": at.isoformat()} for at, what in sorted(found)]


def _ends_of(path: Path) -> list[datetime]:
    """When the certificates in a file end; none where there is none."""
    try:
        return [
            one.not_valid_after_utc for one in x509.load_pem_x509_certificates(path.read_bytes())
        ]
    except (OSError, ValueError):
        return []
