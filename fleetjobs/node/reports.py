"""Reports: the launcher's own words about runs, sealed and put where they are sent from."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from fleetjobs.documents import encode
from fleetjobs.errors import SpoolFull
from fleetjobs.messages import Headway, Reply, RunHeadway, Stage
from fleetjobs.names import JobId, NodeId
from fleetjobs.node.replies import final_reply
from fleetjobs.node.verdict import Verdict
from fleetjobs.signing import SigningKey
from fleetjobs.spool.attempts import RunDirectory, RunKey
from fleetjobs.spool.spool import Spool

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Writes replies for runs that no runner speaks for."""

    node: NodeId
    spool: Spool
    signer: SigningKey
    clock: Callable[[], datetime]
    send: Callable[[str], None]  # takes what may be lost
    on_outbox: Callable[[], None]  # there is something to send

    def settle(self, run: RunDirectory, verdict: Verdict) -> Reply | None:
        """End a run that never began; None if the disk is full."""
        reply = final_reply(self.spool, run, self.node, verdict, self.clock())
        return reply if self._put(run.key, reply) else None

    def started(self, run: RunDirectory, at: datetime) -> Reply:
        """The program is at work."""
        reply = Reply(
            job=run.key.job,
            node=self.node,
            attempt=run.key.attempt,
            generation=self.spool.generation(run.key),
            stage=Stage.STARTED,
            started_at=at,
        )
        self._put(run.key, reply)
        return reply

    def blocked(self, key: RunKey, generation: int, by: JobId) -> None:
        """It waits for the slot that another job holds."""
        reply = Reply(
            job=key.job,
            node=self.node,
            attempt=key.attempt,
            generation=generation,
            stage=Stage.ACCEPTED,
            blocked_by=by,
        )
        self.send(self.signer.seal(encode(reply)))

    def headway(self, runs: Sequence[RunHeadway]) -> None:
        """So far have these come."""
        self.send(self.signer.seal(encode(Headway(node=self.node, runs=list(runs)))))

    def _put(self, key: RunKey, reply: Reply) -> bool:
        try:
            self.spool.put_reply(key, reply.stage, self.signer.seal(encode(reply)))
        except SpoolFull as full:
            logger.error("run %s: %s", key, full)
            return False
        self.on_outbox()
        return True
