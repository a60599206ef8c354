"""Dying: a coordinator in this process that dies at every crash point it comes to, and nodes.

It dies at each point with each message that it has there first, and passes the next time: so a
plan meets a death at every step of every transition, and still comes to its end.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from fleetjobs.broker.parcels import Arrival
from fleetjobs.broker.tasks import read_documents
from fleetjobs.coordinator import collector as collecting
from fleetjobs.coordinator import dispatcher as dispatching
from fleetjobs.coordinator.collector import Collector
from fleetjobs.coordinator.dispatcher import Dispatcher
from fleetjobs.crashpoints import CrashPoint
from fleetjobs.documents import decode, encode
from fleetjobs.jobs import JobId
from fleetjobs.messages import Delivery, Order, Verb
from fleetjobs.requests import Request
from fleetjobs.signing import COORDINATOR, SigningKey, peek
from fleetjobs.states import State
from tests.desk import answer_to
from tests.makers import make_reply
from tests.plans import PlanDesk
from tests.unit.coordinator.fakes import FakePublisher, FakeSubscriber

Attempt = tuple[str, str, int]  # job, node, number
Fate = Callable[[str, str, int], bool]  #: what it does, where, which time there; whether that works
LONG = timedelta(hours=2)  #: whatever waits for another try is due then


class Killed(BaseException):
    """What SIGKILL does to a program: nothing after it is done."""


@dataclass
class Nodes:
    """What nodes do with what comes, once for each attempt; they tell it as often as asked."""

    keys: dict[str, SigningKey]
    fate: Fate
    done: list[tuple[str, str]] = field(default_factory=list)  # text and node, in order
    replies: dict[Attempt, str] = field(default_factory=dict)

    def take(self, body: bytes) -> str:
        """The sealed answer."""
        documents = read_documents(body)
        if "order" in documents:
            return self._obey(decode(Order, peek(documents["order"])))
        delivery = decode(Delivery, peek(documents["delivery"]))
        name = delivery.job, delivery.node, delivery.attempt
        if name not in self.replies:
            request = decode(Request, peek(documents["request"]))
            self.replies[name] = self._act(delivery, str(request.data["text"]))
        return self.replies[name]

    def _act(self, delivery: Delivery, text: str) -> str:
        self.done.append((text, delivery.node))
        time = self.done.count((text, delivery.node))
        works = self.fate(text, delivery.node, time)
        reply = make_reply(
            JobId(delivery.job),
            delivery.node,
            attempt=delivery.attempt,
            generation=delivery.generation,
            state=State.SUCCEEDED if works else State.FAILED,
            statuscode=0 if works else 1,
        )
        return self.keys[delivery.node].seal(encode(reply))

    def _obey(self, order: Order) -> str:
        name = order.job, order.node, order.attempt
        if name not in self.replies:
            assert order.verb is not Verb.WITHDRAW
            self.replies[name] = self.keys[order.node].seal(encode(answer_to(order)))
        return self.replies[name]


@dataclass
class Queue(FakeSubscriber):
    """The queue of replies, which knows what was taken last, acknowledged or not."""

    last: set[str | bytes] = field(default_factory=set)

    def take(self, *, limit: int, within: float, enough: Callable[[], int] = int) -> list[Arrival]:
        """What waits."""
        arrivals = super().take(limit=limit, within=within, enough=enough)
        self.last = {arrival.body for arrival in arrivals}
        return arrivals


@dataclass
class World:
    """A desk whose plans are carried out, with or without deaths."""

    desk: PlanDesk
    nodes: Nodes
    mortal: bool
    deaths: Counter[CrashPoint] = field(default_factory=Counter)
    _met: dict[CrashPoint, set[str | bytes]] = field(default_factory=lambda: defaultdict(set))
    _publisher: FakePublisher = field(default_factory=FakePublisher)
    _queue: Queue = field(default_factory=Queue)

    def carry_out(self, plan: JobId, patch: pytest.MonkeyPatch) -> None:
        """Let the plan come to its end, or to where it waits for a person."""
        for module in (collecting, dispatching):
            patch.setattr(module, "crash_point", self._crash_point)
        lives = self._lives()
        idle = 0
        while not self._stands(plan) and idle < 5:
            try:
                busy = sum(step() for step in lives)
            except Killed:
                self._queue.reconnect()
                lives = self._lives()
            else:
                idle = 0 if busy else idle + 1
                if not busy:
                    self.desk.later(LONG)
                    self.desk.beat(*self.nodes.keys)

    def _lives(self) -> list[Callable[[], int]]:
        """What a coordinator that has just been started does, again and again.

        One in two looks first whether anything has to be handed over once more.
        """
        database, clock = self.desk.control.database, self.desk.clock
        key = SigningKey.generate(COORDINATOR)
        dispatcher = Dispatcher(database, self._publisher, key, clock)
        collector = Collector(database, self._queue, clock)
        lives = [dispatcher.step, lambda: self._work() + collector.step(within=0)]
        return lives if self.deaths.total() % 2 else lives[::-1]

    def _work(self) -> int:
        """Let nodes take what lies in their queues."""
        parcels, self._publisher.published = self._publisher.published, []
        self._queue.waiting += [self.nodes.take(parcel.body).encode() for parcel in parcels]
        return len(parcels)

    def _crash_point(self, name: CrashPoint) -> None:
        here = self._queue.last
        if name.startswith("dispatcher_"):
            here = {one.properties["correlation_id"] for one in self._publisher.published}
        if self.mortal and here - self._met[name]:
            self._met[name] |= here
            self.deaths[name] += 1
            raise Killed

    def _stands(self, plan: JobId) -> bool:
        found = self.desk.job(plan)
        return found.state.is_terminal or found.state is State.PAUSED
