"""Fakes: a broker in this process, that keeps the protocols of publisher and subscriber."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fleetjobs.broker.parcels import Arrival, Parcel, Unconfirmed
from fleetjobs.errors import BrokerAway


@dataclass
class FakePublisher:
    """Keeps what is published; refuses while `away`, and does not confirm for `sick` queues."""

    published: list[Parcel] = field(default_factory=list)
    away: bool = False
    sick: set[str] = field(default_factory=set)

    def publish(self, parcels: Sequence[Parcel]) -> None:
        """Take them, or say which are not confirmed."""
        if self.away:
            raise BrokerAway("no broker")
        self.published += [parcel for parcel in parcels if parcel.queue not in self.sick]
        if left := [parcel for parcel in parcels if parcel.queue in self.sick]:
            raise Unconfirmed("sick", left)

    def close(self) -> None:
        """Nothing to let go."""


@dataclass
class FakeSubscriber:
    """A queue: what was taken and not acknowledged is there again after `reconnect`."""

    waiting: list[bytes] = field(default_factory=list)
    taken: dict[int, bytes] = field(default_factory=dict)
    _count: int = 0

    def take(
        self,
        *,
        limit: int,
        within: float,  # noqa: ARG002  nothing to wait for
        enough: Callable[[], int] = int,  # noqa: ARG002  all of it is there
    ) -> list[Arrival]:
        """What waits."""
        bodies, self.waiting = self.waiting[:limit], self.waiting[limit:]
        arrivals = []
        for body in bodies:
            self._count += 1
            self.taken[self._count] = body
            arrivals.append(Arrival(body=body, content_type="application/jose", token=self._count))
        return arrivals

    def acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        """Forget them."""
        for arrival in arrivals:
            del self.taken[arrival.token]

    def reconnect(self) -> None:
        """As a broker does when its client was gone."""
        self.waiting = [*self.taken.values(), *self.waiting]
        self.taken = {}

    def close(self) -> None:
        """Let the connection go."""
        self.reconnect()
