"""Orders: have an attempt given back or ended, whether it came, waits, runs, or is over."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

from fleetjobs.crashpoints import crash_point
from fleetjobs.documents import encode
from fleetjobs.errors import BrokenRun, Unauthentic
from fleetjobs.messages import Order, Stage, Verb
from fleetjobs.names import JobId, NodeId
from fleetjobs.node.replies import fenced, final_reply, standing
from fleetjobs.node.verdict import cancel, fail
from fleetjobs.signing import SigningKey, unseal
from fleetjobs.spool.attempts import RunDirectory, RunKey
from fleetjobs.spool.fences import Fence
from fleetjobs.spool.spool import Spool
from fleetjobs.states import Reason, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What has not begun ends here; what has is ended by its runner, which the launcher tells.

    An order is a fence on the disk before anything else; all that follows can be done again.
    """

    node: NodeId
    spool: Spool
    signer: SigningKey
    clock: Callable[[], datetime]
    lock: Lock = field(default_factory=Lock)  # receiver and launcher both carry out

    def obey(self, order: Order) -> None:
        """Do what is ordered, durably. Raises SpoolFull: then it has to come again."""
        key = RunKey(JobId(order.job), order.attempt)
        run = self.spool.find(key)
        if run is None or order.generation > _generation(run):
            fence = Fence(generation=order.generation, verb=order.verb, at=self.clock())
            self._raise(key, fence)

    def stop(self, run: RunDirectory, why: str) -> None:
        """End an attempt without an order of the coordinator's. Raises SpoolFull."""
        generation = self.spool.generation(run.key)
        self._raise(run.key, Fence(generation=generation, verb=Verb.STOP, at=self.clock(), why=why))

    def _raise(self, key: RunKey, fence: Fence) -> None:
        self.spool.fences.put(key, fence)
        crash_point("after_fence")
        self.carry_out(key)

    def carry_out(self, key: RunKey) -> None:
        """Give back or end what is fenced and has not begun. Raises SpoolFull."""
        with self.lock:  # what comes anew with a higher generation must not be given back
            run = self.spool.find(key)
            fence = None if run is None else self.spool.fences.find(key)
            if run is not None and fence is not None and not run.is_settled:
                self._call_back(run, fence)

    def _call_back(self, run: RunDirectory, fence: Fence) -> None:
        if not fence.bars(_generation(run)) or not self.spool.take_back(run):
            return
        if fence.is_stop:
            reply = final_reply(self.spool, run, self.node, cancel(fence.why), self.clock())
            self.spool.put_reply(run.key, Stage.FINISHED, self.signer.seal(encode(reply)))
        else:
            self.spool.remove(run)

    def answer(self, key: RunKey) -> str | None:
        """How the attempt stands, sealed; None if nothing is known of it."""
        run, fence = self.spool.find(key), self.spool.fences.find(key)
        if run is not None and not (run.is_withdrawn and not run.is_settled):
            final = run.final()
            if final is not None:
                return final if self._is_whole(final) else self._lost(run)
            reply = standing(self.spool, run, self.node, self.clock())
        elif fence is not None:
            reply = fenced(key, self.node, fence, self.clock())
        else:
            return None
        return self.signer.seal(encode(reply))

    def _is_whole(self, final: str) -> bool:
        """Whether the reply is still what was sealed; nobody would believe it else."""
        try:
            unseal(final, {self.signer.id: self.signer.verify_key})
        except Unauthentic:
            return False
        return True

    def _lost(self, run: RunDirectory) -> str:
        """In place of a reply that was damaged: else its run would be asked after for ever."""
        why = "its reply was damaged on the node's disk"
        verdict = fail(Reason.INTERRUPTED, why, Status.UNKNOWN_ERROR)
        reply = final_reply(self.spool, run, self.node, verdict, self.clock())
        return self.signer.seal(encode(reply))


def _generation(run: RunDirectory) -> int:
    try:
        return run.accepted.generation
    except BrokenRun:
        return 0
