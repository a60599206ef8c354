"""Control over notices: who wishes to hear of what; what was told, and is told again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection
from uuid_utils.compat import uuid7

from fleetjobs.errors import InvalidNotification, NotFound
from fleetjobs.names import JobId
from fleetjobs.notices import Notice, Topic, check_sinks, read_topics
from fleetjobs.signing import account_key_id
from fleetjobs.store.database import Database
from fleetjobs.store.events import add_event
from fleetjobs.store.jobs import get_job
from fleetjobs.store.notices import (
    FOR_ALL,
    Wish,
    add_notices,
    add_wish,
    drop_wish,
    list_wishes,
    make_notice,
    retry_notice,
)


@dataclass(frozen=True, slots=True)
class Notices:
    """Each one transaction; raises NotFound, InvalidNotification, DatabaseAway."""

    database: Database
    clock: Callable[[], datetime]

    def wish(
        self, *, org: str, account: str, job: str | None, sinks: Sequence[str], on: str
    ) -> Wish:
        """Have these sinks told of a job, or of all jobs of the org if none is named.

        A job may be named before it is submitted, by the id that its caller chose.
        """
        topics, duration_s = read_topics(on)
        check_sinks(sinks)
        if not sinks or not topics:
            raise InvalidNotification("say whom to tell, and of what")
        wish = Wish(
            id=str(uuid7()),
            org=org,
            job=job or FOR_ALL,
            topics=topics,
            sinks=tuple(sinks),
            duration_s=duration_s,
            by=account,
            created_at=self.clock(),
        )
        with self.database.transaction() as connection:
            if job is not None:
                found = get_job(connection, JobId(job), org=None)
                if found is not None and found.org != org:
                    raise NotFound(f"there is no job {job}")
                if found is not None and found.ended_at is not None:
                    raise InvalidNotification(f"{job} has ended; nothing more will be told of it")
            add_wish(connection, wish)
            self._log(connection, wish, "notification.wished", account)
        return wish

    def wishes(self, *, org: str, job: str | None = None) -> list[Wish]:
        """The org's, the newest first."""
        with self.database.reading() as connection:
            return list_wishes(connection, org=org, job=job)

    def drop(self, name: str, *, org: str, account: str) -> None:
        """Tell nothing more for that wish."""
        with self.database.transaction() as connection:
            drop_wish(connection, name, org=org)
            add_event(
                connection,
                at=self.clock(),
                kind="notification.unwished",
                actor=account_key_id(account),
                org=org,
                detail={"wish": name},
            )

    def retry(self, name: str, *, org: str | None) -> Notice:
        """Send it once more, now."""
        with self.database.transaction() as connection:
            return retry_notice(connection, name, self.clock(), org=org)

    def test(self, sink: str, *, org: str, account: str) -> Notice:
        """Send a notice that says nothing, to see whether it comes."""
        check_sinks([sink])
        document = {"by": account}
        notice = make_notice(
            org=org, topic=Topic.TEST, sink=sink, document=document, now=self.clock()
        )
        with self.database.transaction() as connection:
            add_notices(connection, [notice])
        return notice

    def _log(self, connection: Connection, wish: Wish, kind: str, account: str) -> None:
        add_event(
            connection,
            at=self.clock(),
            kind=kind,
            actor=account_key_id(account),
            org=wish.org,
            detail={"wish": wish.id, "job": wish.job, "sinks": list(wish.sinks)},
        )
