"""Refusals: who tried what they may not, or what makes no sense, for the audit."""

from contextlib import suppress
from http import HTTPStatus

from fastapi.routing import APIRoute
from starlette.requests import Request

from fleetjobs.errors import Unavailable
from fleetjobs.store.audit import add_record

LONGEST = 500  #: characters of a reason that are kept
READING = frozenset({"GET", "HEAD", "OPTIONS"})  #: methods that change nothing
TRIALS = frozenset(
    {
        "jobs_check",
        "plans_check",
        "schedules_check",
        "schedules_foresee",
        "templates_try_out",
        "templates_validate",
    }
)  #: operations that change nothing whatever their method
#: one that we do not know is nobody, and who is asked to come again is not at fault
_OF_NO_NOTE = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS})


def operation_of(route: APIRoute) -> str:
    """What the OpenAPI document calls it."""
    return f"{route.tags[0]}_{route.name}"


def note_refusal(request: Request, status: int, code: str, why: str) -> None:
    """Write down that the caller was refused; without the database it is answered all the same.

    Whoever may not, whatever they asked for; and whatever was wrong with a change that was asked
    for. Who shows no token that counts is nobody we know, and not written down.
    """
    caller = getattr(request.state, "caller", None)
    if caller is None or not _is_noted(request, status):
        return
    desk = request.app.state.desk
    with suppress(Unavailable), desk.database.transaction() as connection:
        add_record(
            connection,
            at=desk.clock(),
            author=caller.ruler.author,
            kind="refused",
            subject=_shortened(f"{request.method} {request.url.path}"),
            org=caller.home,
            after={"status": status, "code": code},
            note=_shortened(why),
        )


def _is_noted(request: Request, status: int) -> bool:
    if status == HTTPStatus.FORBIDDEN:
        return True
    if status in _OF_NO_NOTE or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return False
    route = request.scope.get("route")
    is_trial = isinstance(route, APIRoute) and operation_of(route) in TRIALS
    return request.method not in READING and not is_trial


def _shortened(text: str) -> str:
    """As the audit keeps it; PostgreSQL takes neither NUL nor half a character."""
    clean = text[:LONGEST].replace("\0", "")
    return clean.encode("utf-8", "replace").decode()
