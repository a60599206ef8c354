"""Documents: what a program is told of its run."""

from datetime import datetime

import msgspec

from fleetjobs.contract import RequestDocument
from fleetjobs.interfaces import Action
from fleetjobs.messages import Delivery
from fleetjobs.plans.references import fill
from fleetjobs.requests import Request


def as_meant(request: Request, delivery: Delivery) -> Request:
    """The request with the coordinator's values in the place of the caller's references.

    An input that comes to nothing is left out. Nothing else of it can be changed that way. Raises
    InvalidReference.
    """
    if delivery.fills is None:
        return request
    filled = fill(request.data, delivery.fills)
    data = {
        name: value
        for name, value in filled.items()
        if value is not None or request.data[name] is None
    }
    return msgspec.structs.replace(request, data=data)


def request_document(
    request: Request, *, node: str, attempt: int, action: Action, deadline: datetime
) -> RequestDocument:
    """The request as an action reads it; inputs that were left out have their defaults."""
    return {
        "job": request.id,
        "run": f"{request.id}.{node}",
        "node": node,
        "attempt": attempt,
        "org": request.org,
        "caller": request.caller,
        "agent": request.agent,
        "action": request.action,
        "data": action.with_defaults(request.data),
        "deadline": f"{deadline:%FT%TZ}",
    }
