"""Orders and questions as Celery messages: named, addressed, and read back unchanged."""

import pytest

from fleetjobs.broker.connections import node_queue_name
from fleetjobs.broker.tasks import (
    ORDER,
    QUESTION,
    make_order_parcel,
    make_question_parcel,
    read_documents,
)
from fleetjobs.errors import InvalidDocument
from fleetjobs.messages import Asked, Order, Question, Verb
from fleetjobs.names import NodeId
from tests.makers import NOW, new_id

JOB = new_id()


def test_an_order_travels_to_its_node_under_a_name_of_its_own() -> None:
    order = Order(job=JOB, node="web1", attempt=2, generation=3, verb=Verb.STOP, issued_at=NOW)

    parcel = make_order_parcel(order=order, sealed_order="sealed")

    assert parcel.queue == node_queue_name(NodeId("web1"))
    assert (parcel.headers["task"], parcel.headers["id"]) == (ORDER, f"{JOB}.web1.2.order3")
    assert read_documents(parcel.body) == {"order": "sealed"}


def test_a_question_travels_under_its_id() -> None:
    question = Question(id=JOB, node="web1", what=Asked.RUNS, issued_at=NOW, expires_at=NOW)

    parcel = make_question_parcel(question=question, sealed_question="sealed")

    assert (parcel.headers["task"], parcel.headers["id"]) == (QUESTION, JOB)
    assert read_documents(parcel.body) == {"question": "sealed"}


@pytest.mark.parametrize("body", [b"", b"[]", b'[[], {"order": 1}, {}]', b'[[], "order", {}]'])
def test_what_is_no_task_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidDocument, match="not a task with"):
        read_documents(body)
