"""Access: who asks, and what their role lets them do."""

from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security.utils import get_authorization_scheme_param
from starlette.concurrency import run_in_threadpool

from fleetjobs.api.desk import AtDesk
from fleetjobs.api.faults import InvalidParameter
from fleetjobs.errors import Denied, Unauthenticated
from fleetjobs.store.access import Account, Role

SCHEME: dict[str, Any] = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token of an account, as `fj server token` prints it: `fjt_…`.",
}


async def _authenticated(request: Request, desk: AtDesk) -> Account:
    scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("a token is needed: `Authorization: Bearer fjt_…`")
    known = desk.tokens.recall(token)
    return known if known is not None else await run_in_threadpool(desk.tokens.account, token)


Caller = Annotated[Account, Depends(_authenticated)]


async def _operator(caller: Caller) -> Account:
    if caller.role is Role.VIEWER:
        raise Denied(f"{caller.name} is a viewer; submitting needs an operator")
    return caller


async def _admin(caller: Caller) -> Account:
    if caller.role is not Role.ADMIN:
        raise Denied(f"{caller.name} is no admin")
    return caller


Operator = Annotated[Account, Depends(_operator)]
Admin = Annotated[Account, Depends(_admin)]


async def clean_query(request: Request) -> None:
    """Refuse what no endpoint takes: parameters where none is known, and NUL in any of them.

    Endpoints with parameters refuse unknown ones themselves; PostgreSQL takes no NUL in a text.
    """
    known = request.scope["route"].dependant.query_params
    for name, value in request.query_params.multi_items():
        if not known:
            raise InvalidParameter(f"there is no parameter {name[:60]!r} here", field=name[:60])
        if "\x00" in value:
            raise InvalidParameter(f"{name[:60]} holds a NUL", field=name[:60])
