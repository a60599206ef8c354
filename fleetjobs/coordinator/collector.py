"""Collector: take what nodes send, count it once, and only then let the broker forget it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fleetjobs.broker.parcels import Arrival, Subscriber
from fleetjobs.coordinator.expected import Expected
from fleetjobs.coordinator.hearing import Hearing
from fleetjobs.coordinator.keys import NodeKeys
from fleetjobs.coordinator.rejects import Reject, note_refusals, note_rejects
from fleetjobs.crashpoints import crash_point
from fleetjobs.errors import DatabaseAway, Refused, Unauthentic
from fleetjobs.messages import (
    Answer,
    Beat,
    FromNode,
    Headway,
    Refusal,
    Replies,
    Reply,
    decode_from_node,
)
from fleetjobs.signing import node_key_id
from fleetjobs.store.attempts import Chance
from fleetjobs.store.database import Database, ring_changes
from fleetjobs.store.headways import save_headways
from fleetjobs.store.nodes import save_beats
from fleetjobs.store.questions import save_answers
from fleetjobs.store.replies import Follow, apply_replies, follow_nothing, no_jitter

BATCH = 200  #: messages; a reply may carry half a megabyte of output
AT_ONCE = 500  #: replies in a transaction: others want to write, too
PATIENCE_S = 1.0  #: how long a pass waits for something to come

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Batch:
    """What arrived, sorted out."""

    replies: list[Reply] = field(default_factory=list)
    beats: list[Beat] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    headways: list[Headway] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    def add(self, document: FromNode) -> None:
        """Put a believed document where it belongs."""
        if isinstance(document, Reply):
            self.replies.append(document)
        elif isinstance(document, Replies):
            self.replies += document.replies
        elif isinstance(document, Beat):
            self.beats.append(document)
        elif isinstance(document, Answer):
            self.answers.append(document)
        elif isinstance(document, Headway):
            self.headways.append(document)
        else:
            self.refusals.append(document)


class Collector:
    """A pass over the reply queue."""

    def __init__(
        self,
        database: Database,
        subscriber: Subscriber,
        clock: Callable[[], datetime],
        chance: Chance = no_jitter,
        expected: Expected | None = None,
        follow: Follow = follow_nothing,
    ) -> None:
        """Take from the subscriber, keep in the database; `chance` spreads retries.

        What is `expected` is worth waiting for, a little. `follow` makes the jobs that replies
        ask for.
        """
        self._database = database
        self._subscriber = subscriber
        self._clock = clock
        self._chance = chance
        self._expected = Expected() if expected is None else expected
        self._follow = follow
        self._keys = NodeKeys(database, clock)
        self._hearing = Hearing(clock)

    def step(self, within: float = PATIENCE_S) -> int:
        """Take one batch; how many documents it was, 0 when none came within so many seconds.

        Raises BrokerAway or DatabaseAway; then nothing was acknowledged, and all of it comes again.
        """
        try:
            arrivals = self._subscriber.take(
                limit=BATCH, within=within, enough=self._expected.__len__
            )
            if arrivals:
                self._keep(arrivals)
                crash_point("collector_after_commit")
                self._subscriber.acknowledge(arrivals)
        except Exception:
            self._hearing.end()
            raise
        self._hearing.begin()
        return len(arrivals)

    @property
    def hears_since(self) -> datetime | None:
        """Since when nothing kept it from hearing nodes; None while something does."""
        return self._hearing.since

    def _keep(self, arrivals: Sequence[Arrival]) -> None:
        try:
            self._write(self._sorted(arrivals))
        except DatabaseAway:
            raise
        except Exception as error:  # one absurd document must not block the queue for ever
            if len(arrivals) == 1:
                logger.exception("a document cannot be kept")
                self._write(Batch(rejects=[Reject.of(arrivals[0], "internal", repr(error))]))
                self._keep_the_rest(self._sorted(arrivals).replies)
                return
            for arrival in arrivals:
                self._keep([arrival])

    def _keep_the_rest(self, replies: Sequence[Reply]) -> None:
        """Those of a message that can be kept, though another one cannot."""
        for reply in replies if len(replies) > 1 else ():
            try:
                self._write(Batch(replies=[reply]))
            except DatabaseAway:
                raise
            except Exception as error:  # noqa: BLE001  the message is on record already
                logger.warning("the reply of %s cannot be kept: %r", reply.job, error)

    def _sorted(self, arrivals: Sequence[Arrival]) -> Batch:
        batch = Batch()
        for arrival in arrivals:
            try:
                batch.add(self._read(arrival.body))
            except Refused as refused:
                logger.warning("a document was rejected: %s", refused)
                batch.rejects.append(Reject.of(arrival, refused.code, str(refused)))
        return batch

    def _read(self, body: bytes) -> FromNode:
        """The document, if the node it speaks of signed it. Raises Unauthentic, InvalidDocument."""
        key_id, payload = self._keys.unseal(body.decode("ascii", "replace"))
        document = decode_from_node(payload)
        told = document.replies if isinstance(document, Replies) else ()
        for node in {document.node, *(reply.node for reply in told)}:
            if key_id != node_key_id(node):
                raise Unauthentic(f"{key_id:.120} signed in the name of {node}")
        return document

    def _write(self, batch: Batch) -> None:
        while len(batch.replies) > AT_ONCE:
            self._write(Batch(replies=batch.replies[:AT_ONCE]))
            batch.replies = batch.replies[AT_ONCE:]
            crash_point("collector_between_parts")
        now = self._clock()
        with self._expected.ending(batch.replies), self._database.transaction() as connection:
            moved = apply_replies(
                connection, batch.replies, now, chance=self._chance, follow=self._follow
            )
            answered = save_answers(connection, batch.answers, now)
            save_beats(connection, batch.beats, now)
            note_refusals(connection, batch.refusals, now)
            note_rejects(connection, batch.rejects, now)
            ring_changes(connection, moved | answered)
            if moved or answered:
                crash_point("collector_before_commit")
        if batch.headways:  # apart: a transaction locks the jobs of one ledger, in one order
            with self._database.transaction() as connection:
                concerned = save_headways(connection, batch.headways, now)
                ring_changes(connection, concerned)
