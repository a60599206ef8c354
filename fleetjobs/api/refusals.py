"""Refusals: who tried what they may not, for the audit."""

from contextlib import suppress

from starlette.requests import Request

from fleetjobs.errors import Fault, Unavailable
from fleetjobs.store.audit import add_record

LONGEST = 500  #: characters of a reason that are kept


def note_refusal(request: Request, fault: Fault) -> None:
    """Write down that the caller was refused; without the database it is answered all the same.

    Who shows no token that counts is nobody we know, and not written down.
    """
    caller = getattr(request.state, "caller", None)
    if caller is None:
        return
    desk = request.app.state.desk
    with suppress(Unavailable), desk.database.transaction() as connection:
        add_record(
            connection,
            at=desk.clock(),
            author=caller.ruler.author,
            kind="refused",
            subject=f"{request.method} {request.url.path}"[:LONGEST].replace("\0", ""),
            org=caller.home,
            note=str(fault)[:LONGEST].replace("\0", ""),
        )
