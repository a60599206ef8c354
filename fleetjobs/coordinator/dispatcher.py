"""Dispatcher: give the runs that are due to the broker, each to the queue of its node."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleetjobs.broker.parcels import Parcel, Publisher
from fleetjobs.broker.tasks import make_parcel
from fleetjobs.messages import Delivery, encode
from fleetjobs.signing import SigningKey, digest
from fleetjobs.store.bells import CHANGES
from fleetjobs.store.database import Database, ring
from fleetjobs.store.handovers import Handover, mark_queued, runs_to_dispatch

BATCH = 500
ASK_AFTER = timedelta(minutes=1)  #: a node that told nothing of a run for that long is asked


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """A pass over what is due for hand-over."""

    database: Database
    publisher: Publisher
    key: SigningKey
    clock: Callable[[], datetime]

    def step(self) -> int:
        """Hand over one batch; how many runs it was, 0 when none is due.

        Published first, noted afterwards: killed in between, it publishes them again, and the
        nodes take each attempt once. Raises BrokerAway, DatabaseAway; then nothing is noted.
        """
        now = self.clock()
        with self.database.reading() as connection:
            due = runs_to_dispatch(connection, now, BATCH)
        if not due:
            return 0
        self.publisher.publish(self._parcels(due, now))
        with self.database.transaction() as connection:
            moved = mark_queued(connection, due, self.clock(), ASK_AFTER)
            if moved:
                ring(connection, CHANGES, ",".join(sorted(moved)))
        return len(due)

    def _parcels(self, due: Sequence[Handover], now: datetime) -> list[Parcel]:
        requests = {item.job: digest(item.sealed) for item in due}
        return [self._parcel(item, requests[item.job], now) for item in due]

    def _parcel(self, item: Handover, request: str, now: datetime) -> Parcel:
        delivery = Delivery(
            job=item.job,
            node=item.node,
            attempt=item.attempt,
            request=request,
            issued_at=now,
            not_before=item.not_before,
            start_before=item.start_before,
        )
        return make_parcel(
            delivery=delivery,
            sealed_delivery=self.key.seal(encode(delivery)),
            sealed_request=item.sealed,
            task=item.task,
        )
