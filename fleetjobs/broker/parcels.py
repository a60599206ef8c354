"""Parcels: what is handed to a broker and what it hands over, and who does the handing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fleetjobs.errors import BrokerAway


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A message on its way into one queue."""

    queue: str
    body: bytes
    content_type: str
    headers: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)  # AMQP basic properties
    loose: bool = False  # may be lost with the broker: whoever misses it asks again


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A message that came out of a queue and waits to be acknowledged."""

    body: bytes
    content_type: str
    token: Any  # what the subscriber needs to acknowledge it


class Unconfirmed(BrokerAway):
    """The broker is there and did not confirm some parcels; it did confirm the others."""

    def __init__(self, message: str, parcels: Sequence[Parcel]) -> None:
        """Name the parcels that may or may not have arrived."""
        super().__init__(message)
        self.parcels = tuple(parcels)


class Publisher(Protocol):
    """Whoever can make parcels durable at a broker."""

    def publish(self, parcels: Sequence[Parcel]) -> None:
        """Hand all parcels over; on return the broker has confirmed each.

        Confirmed means on its disk, unless the parcel is loose.

        Raises Unconfirmed naming those that were not, or BrokerAway if that cannot be told of
        any: such parcels may or may not have arrived.
        """

    def close(self) -> None:
        """Let the connection go."""


class Subscriber(Protocol):
    """Whoever can take messages out of one queue, loose ones too."""

    def take(self, *, limit: int, within: float, enough: Callable[[], int] = int) -> list[Arrival]:
        """Up to `limit` messages; waits at most `within` seconds for the first.

        For more it waits a few milliseconds, as long as fewer than `enough()` have come.
        Raises BrokerAway; what was taken and not acknowledged comes again.
        """

    def acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        """Tell the broker to forget them. Raises BrokerAway; then they come again."""

    def close(self) -> None:
        """Let the connection go; what is not acknowledged goes back into the queue."""
