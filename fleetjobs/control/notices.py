"""Control over notices: who wishes to hear of what; what was told, and is told again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from uuid_utils.compat import uuid7

from fleetjobs.access import FLEET
from fleetjobs.control.noting import note
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
    address: str = ""  # from where it is asked, for the audit

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
            self._log(connection, "notification.wished", wish.id, org, account, after=_told(wish))
        return wish

    def wishes(self, *, org: str, job: str | None = None) -> list[Wish]:
        """The org's, the newest first."""
        with self.database.reading() as connection:
            return list_wishes(connection, org=org, job=job)

    def drop(self, name: str, *, org: str, account: str) -> None:
        """Tell nothing more for that wish."""
        with self.database.transaction() as connection:
            told = _told(drop_wish(connection, name, org=org))
            self._log(connection, "notification.unwished", name, org, account, before=told)

    def retry(self, name: str, *, org: str | None, account: str) -> Notice:
        """Send it once more, now."""
        with self.database.transaction() as connection:
            notice = retry_notice(connection, name, self.clock(), org=org)
            told = {"to": notice.sink}
            self._log(connection, "notification.retried", name, notice.org, account, after=told)
        return notice

    def test(self, sink: str, *, org: str, account: str) -> Notice:
        """Send a notice that says nothing, to see whether it comes."""
        check_sinks([sink])
        document = {"by": account}
        notice = make_notice(
            org=org, topic=Topic.TEST, sink=sink, document=document, now=self.clock()
        )
        with self.database.transaction() as connection:
            add_notices(connection, [notice])
            told = {"to": sink}
            self._log(connection, "notification.tested", notice.id, org, account, after=told)
        return notice

    def _log(
        self,
        connection: Connection,
        kind: str,
        name: str,
        org: str | None,
        account: str,
        *,
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
    ) -> None:
        actor, now = account_key_id(account), self.clock()
        detail = {"wish": name, **(after or {})}
        add_event(connection, at=now, kind=kind, actor=actor, org=org, detail=detail)
        note(
            self,
            connection,
            kind,
            name,
            account=account,
            org=org or FLEET,
            before=before,
            after=after,
        )


def _told(wish: Wish) -> dict[str, Any]:
    """The wish as log and audit tell of it."""
    return {"job": wish.job or None, "sinks": list(wish.sinks), "on": list(wish.topics)}
