"""Packing: what goes to one node at a time travels together, under one signature."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from fleetjobs.broker.parcels import Parcel
from fleetjobs.broker.tasks import make_deliveries_parcel, make_parcel
from fleetjobs.documents import encode
from fleetjobs.messages import TOGETHER_BYTES, Deliveries, Delivery
from fleetjobs.signing import SigningKey, digest
from fleetjobs.store.handovers import Handover

_Addressed = tuple[Handover, Delivery]


@dataclass(frozen=True, slots=True)
class Packer:
    """Makes parcels of handovers, signed as the coordinator."""

    key: SigningKey

    def pack(self, due: Sequence[Handover], now: datetime) -> list[Parcel]:
        """As few as nodes allow; the first ones first, as far as that goes."""
        digests = {sealed: digest(sealed) for sealed in {item.sealed for item in due}}
        order = {name: place for place, name in enumerate(dict.fromkeys(map(_way, due)))}
        found = sorted(due, key=lambda item: order[_way(item)])
        return [
            self._parcel(load)
            for _, items in groupby(found, _way)
            for load in _loads((item, _delivery(item, digests[item.sealed], now)) for item in items)
        ]

    def _parcel(self, load: Sequence[_Addressed]) -> Parcel:
        item, delivery = load[0]
        if len(load) == 1:
            return make_parcel(
                delivery=delivery,
                sealed_delivery=self.key.seal(encode(delivery)),
                sealed_request=item.sealed,
                task=item.task,
                loose=item.loose,
            )
        deliveries = Deliveries(
            node=item.node, issued_at=delivery.issued_at, deliveries=[each for _, each in load]
        )
        return make_deliveries_parcel(
            deliveries=deliveries,
            sealed=self.key.seal(encode(deliveries)),
            requests=list(dict.fromkeys(each.sealed for each, _ in load)),
            loose=item.loose,
        )


def _way(item: Handover) -> tuple[str, bool]:
    """What travels together goes to one node, and is equally dear."""
    return item.node, item.loose


def _loads(found: Iterable[_Addressed]) -> Iterator[list[_Addressed]]:
    """As many as the node takes, and as fit; what is too long goes alone."""
    load: list[_Addressed] = []
    length = 0
    for item, delivery in found:
        size = len(item.sealed) + len(encode(delivery))
        if load and (len(load) == item.node_takes or length + size > TOGETHER_BYTES):
            yield load
            load, length = [], 0
        load.append((item, delivery))
        length += size
    yield load


def _delivery(item: Handover, request: str, now: datetime) -> Delivery:
    until = min(filter(None, (item.start_before, item.until)), default=None)
    return Delivery(
        job=item.job,
        node=item.node,
        attempt=item.attempt,
        generation=item.generation,
        request=request,
        known=item.known,
        key=item.node_key,
        issued_at=now,
        not_before=item.not_before,
        start_before=until,
        fills=item.fills,
    )
