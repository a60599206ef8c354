"""The app as a whole: what holds of every endpoint."""

from collections.abc import Iterator
from inspect import iscoroutinefunction

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from fleetjobs.api.app import ROUTERS


def test_no_endpoint_depends_on_what_runs_in_a_thread() -> None:
    """A plain function is called in one, which costs a request more than what most of them do."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]

    plain = {
        part.call
        for route in routes
        for part in parts(route.dependant)
        if not iscoroutinefunction(part.call)
    }

    assert routes
    assert plain == set()


def parts(whole: Dependant) -> Iterator[Dependant]:
    """All that it depends on."""
    for part in whole.dependencies:
        yield part
        yield from parts(part)
