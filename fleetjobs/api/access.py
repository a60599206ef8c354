"""Access: who asks, in which org they act, and what their role lets them do."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security.utils import get_authorization_scheme_param
from starlette.concurrency import run_in_threadpool

from fleetjobs.access import Role, a
from fleetjobs.api.desk import AtDesk, Desk
from fleetjobs.api.faults import InvalidParameter
from fleetjobs.control.ruling import Ruler
from fleetjobs.errors import Denied, NotFound, Unauthenticated
from fleetjobs.store.access import Account, has_org
from fleetjobs.store.audit import add_record

SCHEME: dict[str, Any] = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token of an account, as `fj token create` prints it: `fjt_…`.",
}
AS_ORG = "As-Org"  #: the header by which a fleet admin says in which org they act
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  #: methods that change nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting(Account):
    """An account that asks; `org` is the one in which it acts."""

    home: str  # its own org
    address: str  # from where it asks
    named: bool  # it said in which org it acts
    token: str = field(repr=False)  # by which it asks

    @property
    def sees(self) -> str | None:
        """Whose things it sees; None: everybody's."""
        rules_all = self.role is Role.FLEET_ADMIN and not self.named
        return None if rules_all else self.org

    @property
    def ruler(self) -> Ruler:
        """As the desk knows whoever looks after accounts."""
        return Ruler(name=self.name, org=self.org, role=self.role, address=self.address)


async def _authenticated(request: Request, desk: AtDesk) -> Acting:
    scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("a token is needed: `Authorization: Bearer fjt_…`")
    known = desk.tokens.recall(token)
    account = known if known is not None else await run_in_threadpool(desk.tokens.account, token)
    wanted = request.headers.get(AS_ORG)
    acting = Acting(
        name=account.name,
        org=account.org if wanted is None else wanted,
        role=account.role,
        verify_key=account.verify_key,
        home=account.org,
        address=request.client.host if request.client else "",
        named=wanted is not None,
        token=token,
    )
    request.state.caller = acting
    if wanted is not None:
        await run_in_threadpool(_enter, desk, acting, f"{request.method} {request.url.path}")
    return acting


def _enter(desk: Desk, acting: Acting, deed: str) -> None:
    """Let pass who may act in that org; what they change there is written down."""
    if acting.org != acting.home and acting.role is not Role.FLEET_ADMIN:
        raise Denied(f"{acting.name} acts in {acting.home} alone")
    with desk.database.reading() as connection:
        if not has_org(connection, acting.org):
            raise NotFound(f"there is no org {acting.org[:128]!r}")
    if acting.org == acting.home or deed.split(" ", 1)[0] in SAFE:
        return
    with desk.database.transaction() as connection:
        add_record(
            connection,
            at=desk.clock(),
            author=acting.ruler.author,
            kind="org.acted_in",
            subject=deed,
            org=acting.org,
        )


Caller = Annotated[Acting, Depends(_authenticated)]


def _at_least(least: Role) -> Callable[[Acting], Coroutine[Any, Any, Acting]]:
    async def check(caller: Caller) -> Acting:
        if not caller.role.reaches(least):
            raise Denied(f"{caller.name} is {a(caller.role)}; that takes {a(least)}")
        return caller

    return check


Operator = Annotated[Acting, Depends(_at_least(Role.OPERATOR))]
Editor = Annotated[Acting, Depends(_at_least(Role.EDITOR))]
Admin = Annotated[Acting, Depends(_at_least(Role.ADMIN))]
FleetAdmin = Annotated[Acting, Depends(_at_least(Role.FLEET_ADMIN))]


def check_fleet(caller: Acting, what: str) -> None:
    """Let pass who looks after the whole fleet; `what` concerns all orgs. Raises Denied."""
    if caller.role is not Role.FLEET_ADMIN:
        raise Denied(f"{caller.name} is {a(caller.role)}; {what} takes {a(Role.FLEET_ADMIN)}")


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
