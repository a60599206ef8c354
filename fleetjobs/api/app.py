"""App: the endpoints put together."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from fastapi import FastAPI

from fleetjobs import __version__
from fleetjobs.api import (
    accounts,
    agents,
    attention,
    audit,
    coordinator,
    credentials,
    edits,
    events,
    jobs,
    limits,
    live,
    logs,
    nodes,
    notifications,
    orgs,
    outlooks,
    pauses,
    plans,
    reference,
    runs,
    schedules,
    scoped,
    status,
    templates,
    verbs,
    windows,
)
from fleetjobs.api.access import SCHEME
from fleetjobs.api.desk import Desk
from fleetjobs.api.logins import Logins
from fleetjobs.api.manners import Manners
from fleetjobs.api.problems import ProblemDocument, answer_with_problems
from fleetjobs.api.refusals import operation_of
from fleetjobs.api.tokens import Tokens
from fleetjobs.api.watch import Watch
from fleetjobs.control.jobs import Control
from fleetjobs.signing import SigningKey
from fleetjobs.store.database import Database

ROOT = "/api/v1"
ROUTERS = (  # in the order in which the reference shows them
    jobs.router,
    plans.router,
    edits.router,
    verbs.router,
    runs.router,
    logs.router,
    live.router,
    events.router,
    attention.router,
    templates.router,
    schedules.router,
    outlooks.router,
    scoped.router,
    notifications.router,
    nodes.router,
    agents.router,
    limits.router,
    accounts.router,
    credentials.router,
    orgs.router,
    audit.router,
    windows.router,
    pauses.router,
    coordinator.router,
    status.router,
    status.probes,
    reference.router,
)
OPEN = {
    "/healthz": "get",
    "/readyz": "get",
    "/login": "post",
}  #: paths below ROOT that need no token

_DESCRIPTION = """Run and schedule actions on whole fleets of machines.

Every request carries a token (`Authorization: Bearer fjt_…`) and sees its account's org alone.
A fleet admin sees all orgs, and changes things of another one with the header `As-Org: name`.
Whatever goes wrong is a problem document (RFC 9457) whose `code` is stable.
Times are RFC 3339 in UTC. Lists are `{"items": […], "next": cursor or null}`.
"""


def make_app(
    database: Database, *, control: Control, clock: Callable[[], datetime], key: SigningKey
) -> FastAPI:
    """The server's app; `app.state.desk.watch.end()` lets its streams go before a shutdown."""
    desk = Desk(
        database=database,
        control=control,
        clock=clock,
        key=key,
        watch=Watch(lambda: database.listen("changes")),
        tokens=Tokens(database, clock),
        logins=Logins(),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        desk.watch.start()
        yield
        desk.watch.close()

    app = FastAPI(
        title="fleetjobs",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_of,
    )
    app.state.desk = desk
    for router in ROUTERS:
        app.include_router(router, prefix=ROOT)
    answer_with_problems(app)
    app.add_middleware(Manners)
    _describe(app)
    return app


def _describe(app: FastAPI) -> None:
    """Complete the OpenAPI document by what the framework does not know: problems and tokens."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = make()
            components = document.setdefault("components", {})
            schemas = components.setdefault("schemas", {})
            schemas["Problem"] = ProblemDocument.model_json_schema()
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            components["securitySchemes"] = {"token": SCHEME}
            document["security"] = [{"token": []}]
            for path, method in OPEN.items():
                document["paths"][ROOT + path][method]["security"] = []
        assert app.openapi_schema is not None  # noqa: S101  made above
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's own manual extends it
