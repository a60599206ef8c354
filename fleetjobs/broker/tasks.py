"""Tasks: what a node is sent, as Celery messages (task protocol 2), made without Celery's detours.

Celery rebuilds exchange, routing, headers and serialisation for each call; a fan-out knows all of
that once, so the message is written down directly:
https://docs.celeryq.dev/en/stable/internals/protocol.html
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fleetjobs.broker.connections import REPLIES, node_queue_name
from fleetjobs.broker.parcels import Parcel
from fleetjobs.errors import InvalidDocument
from fleetjobs.messages import Deliveries, Delivery, Order, Question

JOSE = "application/jose"  #: content type of a sealed document (RFC 7515, 9.2.1)
DELIVERIES = "fleetjobs.deliveries"  #: task name of several attempts
ORDER = "fleetjobs.order"  #: task name of an order
QUESTION = "fleetjobs.question"  #: task name of a question
_EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def task_id(delivery: Delivery) -> str:
    """The name Celery and Flower know the attempt by: `<job>.<node>.<attempt>`."""
    return f"{delivery.job}.{delivery.node}.{delivery.attempt}"


def make_parcel(
    *, delivery: Delivery, sealed_delivery: str, sealed_request: str, task: str, loose: bool = False
) -> Parcel:
    """The Celery message for one attempt; `task` is `agent.action`, `loose` as in `Parcel`.

    Nothing outside the sealed documents is believed by the node; the headers serve Celery's tools.
    """
    return _parcel(
        node_queue_name(delivery.node),
        task,
        task_id(delivery),
        {"delivery": sealed_delivery, "request": sealed_request},
        retries=delivery.attempt - 1,
        loose=loose,
    )


def make_deliveries_parcel(
    *, deliveries: Deliveries, sealed: str, requests: Sequence[str], loose: bool = False
) -> Parcel:
    """The Celery message for several attempts on one node; its id is that of the first, and more.

    `requests` are the sealed ones that they name, each once.
    """
    first, *more = deliveries.deliveries
    return _parcel(
        node_queue_name(deliveries.node),
        DELIVERIES,
        f"{task_id(first)}.and{len(more)}",
        {"deliveries": sealed, "requests": requests},
        loose=loose,
    )


def make_order_parcel(*, order: Order, sealed_order: str) -> Parcel:
    """The Celery message for an order; its id is `<job>.<node>.<attempt>.order<generation>`."""
    name = f"{order.job}.{order.node}.{order.attempt}.order{order.generation}"
    return _parcel(node_queue_name(order.node), ORDER, name, {"order": sealed_order})


def make_question_parcel(*, question: Question, sealed_question: str) -> Parcel:
    """The Celery message for a question; its id is the question's. Who asks waits for seconds."""
    queue = node_queue_name(question.node)
    return _parcel(queue, QUESTION, question.id, {"question": sealed_question}, loose=True)


def _parcel(
    queue: str,
    task: str,
    name: str,
    documents: Mapping[str, str | Sequence[str]],
    *,
    retries: int = 0,
    loose: bool = False,
) -> Parcel:
    headers = {
        "lang": "py",
        "task": task,
        "id": name,
        "root_id": name,
        "parent_id": None,
        "group": None,
        "retries": retries,
        "eta": None,  # never: the broker keeps no time for us
        "expires": None,
        "timelimit": [None, None],
        "argsrepr": "()",
        "kwargsrepr": "{}",
        "origin": "coordinator",
    }
    return Parcel(
        queue=queue,
        body=json.dumps([[], documents, _EMBED]).encode(),
        content_type="application/json",
        headers=headers,
        properties={"correlation_id": name},
        loose=loose,
    )


def read_documents(body: bytes) -> dict[str, Any]:
    """The sealed documents in a message's body, texts or lists of texts, by what they are.

    Those are a delivery and its request, deliveries and their requests, an order, or a question.

    Raises InvalidDocument.
    """
    try:
        _, documents, _ = json.loads(body)
    except (ValueError, TypeError, RecursionError):
        documents = None
    if not isinstance(documents, dict) or not all(map(_is_sealed, documents.values())):
        raise InvalidDocument("not a task with sealed documents")
    return documents


def _is_sealed(value: object) -> bool:
    texts = value if isinstance(value, list) else [value]
    return all(isinstance(text, str) for text in texts)


def reply_parcel(sealed: str, *, loose: bool = False) -> Parcel:
    """What a node sends back, addressed to the coordinator; `loose` as in `Parcel`."""
    return Parcel(queue=REPLIES, body=sealed.encode(), content_type=JOSE, loose=loose)
