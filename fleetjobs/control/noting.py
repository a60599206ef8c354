"""Noting: what a desk has changed, as the audit tells of it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection

from fleetjobs.store.audit import Author, add_record


class Desk(Protocol):
    """Where something is asked for."""

    @property
    def clock(self) -> Callable[[], datetime]:
        """What time it is."""

    @property
    def address(self) -> str:
        """From where it is asked; empty: on the server itself."""


def note(
    desk: Desk,
    connection: Connection,
    kind: str,
    subject: str,
    *,
    account: str,
    org: str,
    before: Any = None,
    after: Any = None,
) -> None:
    """Write it into the audit, in the transaction of the change and late in it. spec S2-26."""
    add_record(
        connection,
        at=desk.clock(),
        author=Author(account=account, address=desk.address),
        kind=kind,
        subject=subject,
        org=org,
        before=before,
        after=after,
    )
