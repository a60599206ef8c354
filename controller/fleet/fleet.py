"""fleet: looks after the fleet itself, beside its database; it is on the server's own node alone.

The owner's `environment/fleet` says where the server's settings are: FLEETJOBS_SERVER_CONFIG.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fleetjobs.agent import Agent, Fail, action, main

SETTINGS = "FLEETJOBS_SERVER_CONFIG"
SHOWN = 1000  #: ids that a reply lists at most
TOLD = 100  #: runs that a mail lists at most
INVALID = 4  #: the status of what is wrong with an input


class Fleet(Agent):
    """What keeps a fleet's records in order, and tells of what is due."""

    @action
    def prune(self, days: float, *, dry_run: bool) -> None:
        """Forget jobs that ended so long ago; what waits for a person, or is needed, stays."""
        with upkeep() as desk:
            self._forgotten(desk.prune(timedelta(days=days), dry_run=dry_run), dry_run=dry_run)

    @action
    def prune_logs(self, days: float, *, dry_run: bool) -> None:
        """Forget what jobs wrote that ended so long ago; the jobs stay."""
        with upkeep() as desk:
            self._forgotten(desk.prune_logs(timedelta(days=days), dry_run=dry_run), dry_run=dry_run)

    def _forgotten(self, found: list[tuple[str, str]], *, dry_run: bool) -> None:
        """Orgs and jobs; only those of the caller's org are named."""
        own = [job for org, job in found if org == self.request["org"]]
        self.reply.update(count=len(found), jobs=own[:SHOWN], dry_run=dry_run)

    @action
    def vacuum(self, *, full: bool) -> None:
        """Have the database tidy up: its statistics, its log, and with `full` all its files."""
        with upkeep() as desk:
            before, after = desk.vacuum(full=full)
        self.reply.update(bytes_before=before, bytes_after=after)

    @action
    def report(self, hours: float, to: list[str]) -> None:
        """Reply with how many nodes live, and what became of the jobs of the last hours."""
        with upkeep() as desk:
            found = desk.report(self.request["org"], timedelta(hours=hours))
            silent = f"{len(found['silent'])} silent"
            self._tell(desk, "node-report", f"{found['alive']} nodes alive, {silent}", found, to)
        self.reply.update(found)

    @action
    def attention(self, to: list[str]) -> None:
        """Reply with the runs that wait for a person to decide; where there are none, tell nobody.

        How to see one, and what can be done: `fj attention list`.
        """
        with upkeep() as desk:
            found = desk.attention(self.request["org"])
            if found:
                lines = [f"{run['job']} on {run['node']}: {run['reason']}" for run in found]
                one = len(found) == 1
                summary = f"{len(found)} {'run waits' if one else 'runs wait'} for a person"
                self._tell(desk, "attention-digest", summary, {"runs": lines[:TOLD]}, to)
        self.reply.update(count=len(found), runs=found[:SHOWN])

    def _tell(
        self, desk: Any, name: str, summary: str, found: dict[str, Any], to: list[str]
    ) -> None:
        """Have it sent by the coordinator, as other notifications are."""
        from fleetjobs.errors import InvalidNotification  # late: see upkeep

        document = {"report": name, "summary": summary, "job": self.request["job"], **found}
        try:
            self.reply["told"] = desk.tell(self.request["org"], self.request["job"], document, to)
        except InvalidNotification as wrong:
            raise Fail(str(wrong), INVALID) from None

    @action
    def expiry(self, days: float, files: list[str]) -> None:
        """Fail if a token, or a certificate in one of the files, expires within so many days."""
        with upkeep() as desk:
            found = desk.expiring(self.request["org"], timedelta(days=days), files)
        self.reply.update(count=len(found), expiring=found[:SHOWN])
        if found:
            self.fail(f"{found[0]['what']} expires at {found[0]['at']}, and {len(found) - 1} more")


@contextmanager
def upkeep() -> Iterator[Any]:
    """The desk of the server's database. Raises Fail where nobody says which that is."""
    if not os.environ.get(SETTINGS):
        raise Fail(f"{SETTINGS} is not set: write it into environment/fleet of this node")
    from fleetjobs.control.upkeep import Upkeep  # late: whether the agent is here is asked often
    from fleetjobs.programs.settings import ServerSettings, load_settings
    from fleetjobs.store.database import Database

    settings = load_settings(ServerSettings, Path(os.environ[SETTINGS]), {})
    database = Database.open(settings.database)
    try:
        yield Upkeep(database, lambda: datetime.now(UTC))
    finally:
        database.close()


if __name__ == "__main__":
    main()
