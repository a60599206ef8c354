"""Sender: carry replies to the broker until it has confirmed them; forget them only then."""

import threading
from collections import deque
from collections.abc import Iterator
from time import monotonic

from fleetjobs.broker.parcels import Publisher
from fleetjobs.broker.tasks import reply_parcel
from fleetjobs.crashpoints import crash_point
from fleetjobs.errors import BrokerAway
from fleetjobs.spool.spool import OutboxEntry, Spool

BATCH = 200  #: documents handed to the broker at once
LOOK_EVERY_S = 2.0  #: the outbox is looked at even if nobody says that there is something
LOOSE_LIMIT = 10_000  #: documents kept in memory while the broker is away; the oldest go first


class Sender:
    """Sends what lies in the outbox, and loose documents that nobody needs on disk.

    Loose are beats, refusals and replies of inline actions: if they are lost with the process, or
    with the broker, the coordinator asks again.
    """

    def __init__(self, publisher: Publisher, spool: Spool) -> None:
        self._publisher = publisher
        self._spool = spool
        self._loose: deque[str] = deque(maxlen=LOOSE_LIMIT)
        self._bell = threading.Event()
        self._outbox_bell = threading.Event()
        self._looked_at = -LOOK_EVERY_S

    def send(self, sealed: str) -> None:
        """Have a loose document sent soon; from any thread."""
        self._loose.append(sealed)
        self._bell.set()

    def wake(self) -> None:
        """Have the outbox looked at soon; from any thread."""
        self._outbox_bell.set()
        self._bell.set()

    def step(self) -> None:
        """Wait for something to send, and send it. Raises BrokerAway; then nothing is forgotten."""
        self._bell.wait(LOOK_EVERY_S)
        self._bell.clear()
        try:
            self._send_loose()
            if self._outbox_bell.is_set() or monotonic() - self._looked_at >= LOOK_EVERY_S:
                self._outbox_bell.clear()
                self._send_outbox()
                self._looked_at = monotonic()
        except BrokerAway:
            self.wake()
            raise

    def _send_loose(self) -> None:
        while self._loose:
            batch = [self._loose[index] for index in range(min(BATCH, len(self._loose)))]
            self._publisher.publish([reply_parcel(sealed, loose=True) for sealed in batch])
            for sealed in batch:
                if self._loose and self._loose[0] is sealed:  # else the limit has pushed it out
                    self._loose.popleft()

    def _send_outbox(self) -> None:
        while readable := list(self._readable()):
            self._publisher.publish([reply_parcel(sealed) for _, sealed in readable])
            crash_point("after_send")
            for entry, _ in readable:
                self._spool.confirm(entry)

    def _readable(self) -> Iterator[tuple[OutboxEntry, str]]:
        """Some of the outbox; what cannot be read goes out of the way of all others."""
        for entry in self._spool.outbox(limit=BATCH):
            try:
                yield entry, entry.sealed()
            except OSError:
                self._spool.set_aside(entry.path)
