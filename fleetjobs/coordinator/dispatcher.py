"""Dispatcher: give what is due to the broker, each to the queue of its node."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from fleetjobs.broker.connections import node_queue_name
from fleetjobs.broker.parcels import Parcel, Publisher, Unconfirmed
from fleetjobs.broker.tasks import make_order_parcel, make_question_parcel
from fleetjobs.coordinator.expected import Expected
from fleetjobs.coordinator.packing import Packer
from fleetjobs.coordinator.warden import Warden
from fleetjobs.crashpoints import crash_point
from fleetjobs.documents import encode
from fleetjobs.errors import DatabaseAway
from fleetjobs.messages import Order, Question
from fleetjobs.signing import SigningKey
from fleetjobs.store.agenda import Errands, look_for_errands
from fleetjobs.store.bells import DISPATCH
from fleetjobs.store.database import Database, ring, ring_changes
from fleetjobs.store.departures import end_runs
from fleetjobs.store.entries import COORDINATOR, RunName
from fleetjobs.store.fills import Unfilled, fail_unfilled, fill_in
from fleetjobs.store.gates import Look, has_gates, hold_up, look_at_due, take_back
from fleetjobs.store.handovers import Handover, mark_queued, postpone, runs_to_dispatch
from fleetjobs.store.lanes import concerns_lanes, give_slots, join_lanes
from fleetjobs.store.limits import read_ceilings
from fleetjobs.store.orders import Instruction, mark_ordered, orders_to_send, postpone_orders
from fleetjobs.store.questions import mark_asked, questions_to_send

logger = logging.getLogger(__name__)

BATCH = 500
SICK_PAUSE = timedelta(minutes=1)  #: a queue that does not confirm must not hold up the others
PATIENCE = timedelta(seconds=0.5)  #: a run whose end has not come by then is noted in any case
ASK_AFTER = timedelta(minutes=1)  #: a node that told nothing of a run for that long is asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a pass came to."""

    number: int
    next_at: datetime | None  # when more will be due, as far as was known

    @property
    def is_full(self) -> bool:
        """Whether there may be more at once."""
        return self.number >= BATCH


def _may_go(item: Handover, limited: Collection[str]) -> bool:
    """Whether the node may have it: what came after we gave slots away has none yet."""
    return not item.begins or item.has_slot or item.task not in limited


def _passing(found: Sequence[Handover], looks: Sequence[Look]) -> list[Handover]:
    """Those that may begin now, with the time until which they may."""
    until = {look.name: look.until for look in looks if look.may_go}
    names = [(item, (item.job, item.node)) for item in found]
    return [
        replace(item, until=until.get(name)) if item.begins else item
        for item, name in names
        if not item.begins or name in until
    ]


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """A pass over what nodes are to be sent: orders and questions first, they are urgent."""

    database: Database
    publisher: Publisher
    key: SigningKey
    clock: Callable[[], datetime]
    ask_after: timedelta = ASK_AFTER
    expected: Expected = field(default_factory=Expected)
    warden: Warden | None = None  # None: whatever is due is handed over

    def step(self) -> int:
        """Send one batch of each and note it; how many it was, 0 when nothing is due.

        Published first, noted afterwards: killed in between, it publishes them again, and the
        nodes take each once. Raises BrokerAway, DatabaseAway; then nothing is noted.
        """
        sent = self.send()
        self.note()
        return sent.number

    def send(self) -> "Sent":
        """Send one batch of each, and leave it to a later `note` to say what was handed over."""
        now = self.clock()
        with self.database.reading() as connection:
            due = look_for_errands(connection, now)
        watched = due.limited or due.gated  # who lets runs go on must not see them as waiting
        self.note(None if watched else PATIENCE)
        done = self._order(now) if due.orders else 0
        done += self._ask(now) if due.questions else 0
        let_on = self._let_on(now) if due.limited else 0
        if self.warden is not None:
            self.warden.sweep(due.rights)
        if due.deliveries or let_on:
            done += self._hold_up(now) if due.gated else 0
            done += self._deliver(now, due)
        done += let_on
        return Sent(number=done, next_at=due.next_at)

    def note(self, patience: timedelta | None = None) -> None:
        """Note what was handed over, so long ago if that is said, and has not ended yet.

        Raises DatabaseAway: then all of it is to be noted still, for what is forgotten here could
        not be asked back.
        """
        handed = self.expected.take(patience)
        if not handed:
            return
        try:
            with self.database.transaction() as connection:
                moved = mark_queued(connection, handed, self.clock(), self.ask_after)
                ring_changes(connection, moved)
            self._look_again([(item.job, item.node) for item in handed if item.begins])
        except DatabaseAway:
            self.expected.add(handed)
            raise

    def _look_again(self, names: Sequence[RunName]) -> None:
        """Ask back what a pause or a window forbids that came before it was noted.

        Whoever shuts a gate asks back what is noted by then, after the gate is shut; we look at
        gates after the note is written. So one of the two sees the other.
        """
        if not names:
            return
        with self.database.reading() as connection:
            if not has_gates(connection):
                return
        with self.database.transaction() as connection:
            moved = take_back(connection, names, self.clock(), actor=COORDINATOR)
            if moved:
                ring(connection, DISPATCH)
            ring_changes(connection, moved)

    def _let_on(self, now: datetime) -> int:
        """Let due runs of actions that have limits go on as far as there are slots; how many."""
        with self.database.reading() as connection:
            limited = read_ceilings(connection).actions
            if not concerns_lanes(connection, now, limited):
                return 0
        with self.database.transaction() as connection:
            joined, moved = join_lanes(connection, now, limited, BATCH)
            ring_changes(connection, moved)
        crash_point("dispatcher_after_lining_up")
        with self.database.transaction() as connection:
            given, moved = give_slots(connection, now)
            ring_changes(connection, moved)
        crash_point("dispatcher_after_giving_slots")
        return joined + given

    def _hold_up(self, now: datetime) -> int:
        """Let runs wait that may not begin now; how many."""
        with self.database.transaction() as connection:
            held, moved = hold_up(connection, now, BATCH)
            ring_changes(connection, moved)
        return held

    def _deliver(self, now: datetime, errands: Errands) -> int:
        refused: Mapping[RunName, str] = {}
        with self.database.reading() as connection:
            limited = read_ceilings(connection).actions if errands.limited else ()
            found = runs_to_dispatch(connection, now, BATCH, self.expected.names())
            gone = [(item.job, item.node) for item in found if item.node_key is None]
            found = [item for item in found if item.node_key and _may_go(item, limited)]
            if self.warden is not None:
                refused = self.warden.refusals(connection, found, epoch=errands.rights)
                found = [item for item in found if (item.job, item.node) not in refused]
            if errands.gated:
                found = _passing(found, look_at_due(connection, now, BATCH))
            due, broken = fill_in(connection, found)
        if self.warden is not None:
            self.warden.deny(refused)
        self._end(gone)
        self.expected.add(due)  # already: a reply may be faster than the broker's confirmation
        try:
            sick = self._publish(Packer(self.key).pack(due, now))
        except Exception:
            self.expected.drop(due)
            raise
        crash_point("dispatcher_after_publish")
        held = [item for item in due if node_queue_name(item.node) in sick]
        self.expected.drop(held)
        if held or broken:
            self._put_off(held, broken)
        return len(due) + len(broken) + len(refused) + len(gone)

    def _end(self, gone: Sequence[RunName]) -> None:
        """End what came about when its node was just taken off the fleet, or is to undo there."""
        if not gone:
            return
        with self.database.transaction() as connection:
            moved = end_runs(connection, gone, self.clock(), actor=COORDINATOR)
            ring_changes(connection, moved)

    def _put_off(self, held: Sequence[Handover], broken: Sequence[Unfilled]) -> None:
        """What could not be handed over goes later, or never."""
        with self.database.transaction() as connection:
            postpone(connection, held, self.clock() + SICK_PAUSE)
            moved = fail_unfilled(connection, broken, self.clock())
            ring_changes(connection, moved)

    def _order(self, now: datetime) -> int:
        with self.database.reading() as connection:
            due = orders_to_send(connection, now, BATCH)
        sick = self._publish([self._order_parcel(item, now) for item in due])
        sent = [item for item in due if node_queue_name(item.node) not in sick]
        held = [item for item in due if node_queue_name(item.node) in sick]
        with self.database.transaction() as connection:
            postpone_orders(connection, held, self.clock(), self.clock() + SICK_PAUSE)
            mark_ordered(connection, sent, self.clock(), self.ask_after)
        return len(due)

    def _ask(self, now: datetime) -> int:
        """Who asks waits for seconds: what a sick queue does not take is not sent again."""
        with self.database.reading() as connection:
            due = questions_to_send(connection, now, BATCH)
        self._publish([self._question_parcel(question) for question in due])
        with self.database.transaction() as connection:
            mark_asked(connection, due, now)
        return len(due)

    def _publish(self, parcels: Sequence[Parcel]) -> frozenset[str]:
        """Publish; gives the queues that the broker did not confirm for. Raises BrokerAway."""
        try:
            self.publisher.publish(parcels)
        except Unconfirmed as unconfirmed:
            logger.warning("some wait: %s", unconfirmed)
            return frozenset(parcel.queue for parcel in unconfirmed.parcels)
        return frozenset()

    def _order_parcel(self, item: Instruction, now: datetime) -> Parcel:
        order = Order(
            job=item.job,
            node=item.node,
            attempt=item.attempt,
            generation=item.generation,
            verb=item.verb,
            issued_at=now,
        )
        return make_order_parcel(order=order, sealed_order=self.key.seal(encode(order)))

    def _question_parcel(self, question: Question) -> Parcel:
        sealed = self.key.seal(encode(question))
        return make_question_parcel(question=question, sealed_question=sealed)
