"""What goes to one node travels together, as far as the node takes it and it is not too long."""

from typing import Any

import pytest

from fleetjobs.broker.parcels import Parcel
from fleetjobs.broker.tasks import DELIVERIES, read_documents
from fleetjobs.coordinator.packing import Packer
from fleetjobs.documents import decode
from fleetjobs.messages import TOGETHER_BYTES, Deliveries
from fleetjobs.names import NodeId
from fleetjobs.signing import COORDINATOR, SigningKey, digest, unseal
from fleetjobs.store.handovers import Handover
from tests.makers import NOW, new_id

KEY = SigningKey.generate(COORDINATOR)


def handover(node: str = "web1", **changes: Any) -> Handover:
    """A run that is due, on a node that takes three at a time."""
    fields: dict[str, Any] = {
        "job": new_id(),
        "node": NodeId(node),
        "attempt": 1,
        "generation": 0,
        "known": False,
        "task": "demo.echo",
        "org": "default",
        "caller": "ada",
        "created_at": NOW,
        "root": None,
        "sealed": "the.sealed.request",
        "node_takes": 3,
        "not_before": None,
        "start_before": None,
    }
    return Handover(**fields | changes)


def pack(*due: Handover) -> list[Parcel]:
    return Packer(KEY).pack(due, NOW)


def read(parcel: Parcel) -> tuple[Deliveries, list[str]]:
    """What a parcel of several holds, believed by its signature."""
    documents = read_documents(parcel.body)
    signer, raw = unseal(documents["deliveries"], {COORDINATOR: KEY.verify_key})
    assert signer == COORDINATOR
    return decode(Deliveries, raw), documents["requests"]


def test_one_signature_and_each_request_once() -> None:
    due = [handover(), handover("web2"), handover(), handover(sealed="an.other.request")]

    first, second = pack(*due)

    assert (first.queue, second.queue) == ("node.web1", "node.web2")
    assert first.headers["task"] == DELIVERIES
    assert first.headers["id"] == f"{due[0].job}.web1.1.and2"
    deliveries, requests = read(first)
    assert [each.job for each in deliveries.deliveries] == [due[0].job, due[2].job, due[3].job]
    assert requests == ["the.sealed.request", "an.other.request"]
    assert {each.request for each in deliveries.deliveries} == set(map(digest, requests))


@pytest.mark.parametrize(("takes", "parcels"), [(1, 4), (3, 2), (50, 1)])
def test_a_node_gets_as_many_as_it_takes(takes: int, parcels: int) -> None:
    assert len(pack(*(handover(node_takes=takes) for _ in range(4)))) == parcels


def test_what_may_be_lost_travels_apart_from_what_may_not() -> None:
    parcels = pack(handover(loose=True), handover(), handover(loose=True))

    assert [parcel.loose for parcel in parcels] == [True, False]


def test_what_is_too_long_travels_alone() -> None:
    long = "r" * TOGETHER_BYTES

    assert (
        len(pack(handover(), handover(sealed=long), handover(), handover(fills={"a": long}))) == 4
    )
