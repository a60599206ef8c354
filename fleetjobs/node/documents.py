"""Documents: what a program is told of its run."""

from datetime import datetime

from fleetjobs.contract import RequestDocument
from fleetjobs.interfaces import Action
from fleetjobs.messages import Request


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
