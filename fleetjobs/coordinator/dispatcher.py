"""Dispatcher: give the runs that are due to the broker, each to the queue of its node."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleetjobs.broker.connections import node_queue_name
from fleetjobs.broker.parcels import Parcel, Publisher, Unconfirmed
from fleetjobs.broker.tasks import make_parcel
from fleetjobs.crashpoints import crash_point
from fleetjobs.messages import Delivery, encode
from fleetjobs.signing import SigningKey, digest
from fleetjobs.store.bells import CHANGES
from fleetjobs.store.database import Database, ring
from fleetjobs.store.handovers import Handover, mark_queued, postpone, runs_to_dispatch

logger = logging.getLogger(__name__)

BATCH = 500
SICK_PAUSE = timedelta(minutes=1)  #: a queue that does not confirm must not hold up the others
ASK_AFTER = timedelta(minutes=1)  #: a node that told nothing of a run for that long is asked


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """A pass over what is due for hand-over."""

    database: Database
    publisher: Publisher
    key: SigningKey
    clock: Callable[[], datetime]
    ask_after: timedelta = ASK_AFTER

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
        sick = self._publish(due, now)
        crash_point("dispatcher_after_publish")
        handed = [item for item in due if node_queue_name(item.node) not in sick]
        held = [item for item in due if node_queue_name(item.node) in sick]
        with self.database.transaction() as connection:
            postpone(connection, held, self.clock() + SICK_PAUSE)
            moved = mark_queued(connection, handed, self.clock(), self.ask_after)
            if moved:
                ring(connection, CHANGES, ",".join(sorted(moved)))
        return len(due)

    def _publish(self, due: Sequence[Handover], now: datetime) -> frozenset[str]:
        """Publish; gives the queues that the broker did not confirm for. Raises BrokerAway."""
        try:
            self.publisher.publish(self._parcels(due, now))
        except Unconfirmed as unconfirmed:
            logger.warning("some runs wait: %s", unconfirmed)
            return frozenset(parcel.queue for parcel in unconfirmed.parcels)
        return frozenset()

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
