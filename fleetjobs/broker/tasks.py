"""Tasks: a delivery as a Celery message (task protocol 2), made without Celery's own detours.

Celery rebuilds exchange, routing, headers and serialisation for each call; a fan-out knows all of
that once, so the message is written down directly:
https://docs.celeryq.dev/en/stable/internals/protocol.html
"""

import json

from fleetjobs.broker.connections import REPLIES, node_queue_name
from fleetjobs.broker.parcels import Parcel
from fleetjobs.errors import InvalidDocument
from fleetjobs.messages import Delivery

JOSE = "application/jose"  #: content type of a sealed document (RFC 7515, 9.2.1)
_EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def task_id(delivery: Delivery) -> str:
    """The name Celery and Flower know the attempt by: `<job>.<node>.<attempt>`."""
    return f"{delivery.job}.{delivery.node}.{delivery.attempt}"


def make_parcel(
    *, delivery: Delivery, sealed_delivery: str, sealed_request: str, task: str
) -> Parcel:
    """The Celery message for one attempt; `task` is `agent.action`.

    Nothing outside the sealed documents is believed by the node; the headers serve Celery's tools.
    """
    name = task_id(delivery)
    body = [[], {"delivery": sealed_delivery, "request": sealed_request}, _EMBED]
    headers = {
        "lang": "py",
        "task": task,
        "id": name,
        "root_id": name,
        "parent_id": None,
        "group": None,
        "retries": delivery.attempt - 1,
        "eta": None,  # never: the broker keeps no time for us
        "expires": None,
        "timelimit": [None, None],
        "argsrepr": "()",
        "kwargsrepr": "{}",
        "origin": "coordinator",
    }
    return Parcel(
        queue=node_queue_name(delivery.node),
        body=json.dumps(body).encode(),
        content_type="application/json",
        headers=headers,
        properties={"correlation_id": name},
    )


def read_task(body: bytes) -> tuple[str, str]:
    """The sealed delivery and request in a message's body. Raises InvalidDocument."""
    try:
        _, documents, _ = json.loads(body)
        delivery, request = documents["delivery"], documents["request"]
    except (ValueError, TypeError, KeyError, RecursionError):
        delivery = request = None
    if not isinstance(delivery, str) or not isinstance(request, str):
        raise InvalidDocument("not a task with a delivery and a request")
    return delivery, request


def reply_parcel(sealed: str) -> Parcel:
    """What a node sends back, addressed to the coordinator."""
    return Parcel(queue=REPLIES, body=sealed.encode(), content_type=JOSE)
