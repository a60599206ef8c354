"""Receiver: from a message to a run on disk, or to a refusal in writing."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from fleetjobs.broker.tasks import task_id
from fleetjobs.crashpoints import crash_point
from fleetjobs.errors import (
    Denied,
    DuplicateRun,
    MissingInput,
    Refused,
    UnknownAction,
    UnknownAgent,
)
from fleetjobs.interfaces import Action
from fleetjobs.jobs import JobId, NodeId
from fleetjobs.messages import Document, Refusal, Reply, Stage, encode
from fleetjobs.node.admission import Admission, Letter
from fleetjobs.node.announcer import Announcer
from fleetjobs.registry import Agent
from fleetjobs.signing import SigningKey, digest
from fleetjobs.spool.attempts import RunDirectory, RunKey
from fleetjobs.spool.seen import Seen
from fleetjobs.spool.spool import Spool
from fleetjobs.states import Reason, State, Status

logger = logging.getLogger(__name__)
audit = logging.getLogger("fleetjobs.audit")

RECENT = 1_000  #: inline replies kept in memory, should the broker lose them

Inline = Callable[[Agent, Action, Letter], Reply]  #: acts at once and gives the final reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Decides about each message that came out of the node's queue."""

    node: NodeId
    admission: Admission
    signer: SigningKey
    spool: Spool
    seen: Seen
    inline: Inline
    send: Callable[[str], None]
    wake_launcher: Callable[[], None]
    announcer: Announcer
    clock: Callable[[], datetime]
    recent: dict[RunKey, str] = field(default_factory=dict)  # sealed replies, oldest first

    def receive(self, body: bytes, acknowledge: Callable[[], None], claimed: str = "") -> None:
        """Take one message; it is acknowledged once what it asks is on disk, or refused.

        Raises SpoolFull: the message stays with the broker.
        """
        now = self.clock()
        try:
            letter = self.admission.believe(body, now)
        except Refused as refused:
            self._refuse(body, refused, now, claimed)
            acknowledge()
            return
        key = RunKey(JobId(letter.delivery.job), letter.delivery.attempt)
        if self._answer_again(key, letter, now):
            acknowledge()
            return
        try:
            agent, action = self._admit(letter, now)
        except Refused as refused:
            self._reply(self._rejection(letter, refused, now))
            acknowledge()
            return
        audit.info("allowed %s %s by %s", letter.task, task_id(letter.delivery), letter.signer)
        if action.inline:
            self._act_inline(key, letter, agent, action, acknowledge)
        else:
            self._keep(key, letter, action, acknowledge, now)

    def _admit(self, letter: Letter, now: datetime) -> tuple[Agent, Action]:
        deadline = letter.delivery.start_before
        if deadline is not None and now > deadline:
            raise _TooLate(f"not started by {deadline:%FT%TZ}")
        return self.admission.allow(letter)

    def _keep(
        self,
        key: RunKey,
        letter: Letter,
        action: Action,
        acknowledge: Callable[[], None],
        now: datetime,
    ) -> None:
        crash_point("before_spool")
        try:
            self.spool.add(
                key,
                delivery=letter.sealed_delivery,
                request=letter.sealed_request,
                accepted_at=now,
            )
        except DuplicateRun:
            self._answer_again(key, letter, now)
        else:
            self.announcer.received(letter, action)
        crash_point("after_spool")
        acknowledge()
        crash_point("after_ack")
        self.wake_launcher()

    def _act_inline(
        self,
        key: RunKey,
        letter: Letter,
        agent: Agent,
        action: Action,
        acknowledge: Callable[[], None],
    ) -> None:
        """At most once: what is seen is never acted on again, so it is written down first."""
        self.seen.add(key, until=letter.delivery.start_before)
        crash_point("after_seen")
        acknowledge()
        self.announcer.received(letter, action)
        reply = self.inline(agent, action, letter)
        sealed = self.signer.seal(encode(reply))
        self.recent[key] = sealed
        if len(self.recent) > RECENT:
            del self.recent[next(iter(self.recent))]
        self.send(sealed)
        self.announcer.ended(reply, started=True)

    def _answer_again(self, key: RunKey, letter: Letter, now: datetime) -> bool:
        """Whether the attempt came before; then say again what is known of it.

        The coordinator delivers twice when it wonders what came of an attempt.
        """
        run = self.spool.find(key)
        if run is not None:
            final = run.final()
            if final is None:
                self._reply(self._standing(run))
            else:
                self.send(final)
        elif key in self.recent:
            self.send(self.recent[key])
        elif key in self.seen:
            self._reply(_inline_lost(letter, now))
        else:
            return False
        return True

    def _standing(self, run: RunDirectory) -> Reply:
        started_at = run.started_at()
        return Reply(
            job=run.key.job,
            node=self.node,
            attempt=run.key.attempt,
            stage=Stage.STARTED if started_at else Stage.ACCEPTED,
            started_at=started_at,
        )

    def _rejection(self, letter: Letter, refused: Refused, now: datetime) -> Reply:
        status, reason, state = _verdict(refused)
        audit.warning(
            "refused %s %s by %s: %s", letter.task, task_id(letter.delivery), letter.signer, refused
        )
        reply = Reply(
            job=letter.delivery.job,
            node=self.node,
            attempt=letter.delivery.attempt,
            stage=Stage.FINISHED,
            state=state,
            reason=reason,
            statuscode=status,
            statusmsg=str(refused),
            accepted_at=now,
            ended_at=now,
        )
        self.announcer.received(letter, None)
        self.announcer.ended(reply, started=False)
        return reply

    def _refuse(self, body: bytes, refused: Refused, now: datetime, claimed: str) -> None:
        audit.warning("not believed: %s: %s (task %.120r)", refused.code, refused, claimed)
        self._reply(
            Refusal(
                node=self.node,
                at=now,
                code=refused.code,
                why=str(refused),
                message=digest(body),
                task=claimed[:200],
            )
        )

    def _reply(self, document: Document) -> None:
        self.send(self.signer.seal(encode(document)))


class _TooLate(Refused):
    """Past its start_before."""

    code = "expired"


def _verdict(refused: Refused) -> tuple[Status, Reason, State]:
    """How a refusal ends the run: SimpleRPC status, reason, state."""
    match refused:
        case _TooLate():
            return Status.ABORTED, Reason.START_BEFORE, State.EXPIRED
        case UnknownAgent() | UnknownAction():
            return Status.UNKNOWN_ACTION, Reason.UNKNOWN_ACTION, State.FAILED
        case MissingInput():
            return Status.MISSING_DATA, Reason.INVALID, State.FAILED
        case Denied():
            return Status.ABORTED, Reason.DENIED, State.FAILED
        case _:
            return Status.INVALID_DATA, Reason.INVALID, State.FAILED


def _inline_lost(letter: Letter, now: datetime) -> Reply:
    return Reply(
        job=letter.delivery.job,
        node=letter.delivery.node,
        attempt=letter.delivery.attempt,
        stage=Stage.FINISHED,
        state=State.FAILED,
        reason=Reason.INTERRUPTED,
        statuscode=Status.UNKNOWN_ERROR,
        statusmsg="the action was begun and its reply was lost with the worker",
        ended_at=now,
    )
