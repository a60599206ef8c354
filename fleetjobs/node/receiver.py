"""Receiver: from a message to a run on disk, or to a refusal in writing."""

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime

from fleetjobs.broker.tasks import task_id
from fleetjobs.crashpoints import crash_point
from fleetjobs.documents import Document, encode
from fleetjobs.errors import DuplicateRun, InvalidDocument, Refused, SpoolFull
from fleetjobs.interfaces import Action
from fleetjobs.layouts import Agent
from fleetjobs.messages import Order, Question, Refusal, Reply
from fleetjobs.names import JobId, NodeId
from fleetjobs.node.admission import Admission, Letter, Mail
from fleetjobs.node.announcer import Announcer
from fleetjobs.node.backlog import Backlog
from fleetjobs.node.gathering import Gathering
from fleetjobs.node.orders import Orders
from fleetjobs.node.questions import Questions
from fleetjobs.node.recent import Recent
from fleetjobs.node.rejection import TooLate, rejection
from fleetjobs.node.replies import ended
from fleetjobs.node.verdict import cancel, fail
from fleetjobs.signing import SigningKey, digest
from fleetjobs.spool.attempts import RunDirectory, RunKey
from fleetjobs.spool.seen import Seen
from fleetjobs.spool.spool import Spool
from fleetjobs.states import Reason, Status

logger = logging.getLogger(__name__)
audit = logging.getLogger("fleetjobs.audit")

Acknowledge = Callable[[], None]
Inline = Callable[[Agent, Action, Letter], Reply]  #: acts at once and gives the final reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Decides about each message that came out of the node's queue."""

    node: NodeId
    admission: Admission
    signer: SigningKey
    spool: Spool
    orders: Orders
    questions: Questions
    seen: Seen  # inline attempts
    gone: Seen  # attempts that ended and were removed
    inline: Inline
    send: Callable[[str], None]
    wake_launcher: Callable[[], None]
    reconsider: Callable[[RunKey], None]  # the launcher: an order may have changed something
    backlog: Backlog
    announcer: Announcer
    clock: Callable[[], datetime]
    recent: Recent = field(default_factory=Recent)
    held: list[Letter] = field(default_factory=list)  # inline, until the backlog was read

    def receive(self, body: bytes, acknowledge: Acknowledge, claimed: str = "") -> None:
        """Take one message; it is acknowledged once what it asks is on disk, or refused.

        Raises SpoolFull: the message stays with the broker.
        """
        now = self.clock()
        try:
            believed = self.admission.believe(body, now)
        except Refused as refused:
            self._refuse(body, refused, now, claimed)
            acknowledge()
            return
        match believed:
            case Order():
                self._obey(believed, acknowledge, now)
            case Question():
                acknowledge()
                if believed.expires_at >= now:
                    self._reply(self.questions.answer(believed))
            case Mail():
                kept = self._take_all(body, believed, now, claimed)
                acknowledge()
                if kept:
                    crash_point("after_ack")
                    self.wake_launcher()

    def act_on_held(self) -> None:
        """Act on the queries that came while the backlog was read, but for what it called off.

        They were acknowledged: one that is lost with the worker costs but another question.
        """
        held = self.held.copy()
        self.held.clear()
        with closing(Gathering(self.node, self._reply)) as gathering:
            for letter in held:
                try:
                    self._take(letter, gathering, self.clock())
                except SpoolFull as full:
                    logger.error("%s has to be asked for again: %s", task_id(letter.delivery), full)

    def revoke(self, task: str, *, terminate: bool) -> str:
        """End an attempt by the name Celery knows it by, as an order would; what came of it.

        Without `terminate` only if it has not begun. Raises SpoolFull.
        """
        run = self._named(task)
        if run is None or run.is_settled:
            return f"{task}: not known here, or over"
        if run.holder() is not None and not terminate:
            return f"{task}: has begun; terminate it"
        audit.warning("revoked %s by remote control", task)
        self.orders.stop(run, "cancelled by remote control")
        self.reconsider(run.key)
        return f"{task}: is ended"

    def _named(self, task: str) -> RunDirectory | None:
        """The attempt in `<job>.<node>.<attempt>`, if it is here."""
        job, _, rest = task.partition(".")
        node, _, attempt = rest.rpartition(".")
        try:
            key = RunKey.read(f"{job}.{attempt}")
        except InvalidDocument:
            return None
        return self.spool.find(key) if node == self.node else None

    def _obey(self, order: Order, acknowledge: Acknowledge, now: datetime) -> None:
        key = RunKey(JobId(order.job), order.attempt)
        audit.info("ordered %s %s, generation %d", order.verb, key, order.generation)
        answer = self._ended_without_spool(key, now)
        if answer is None:
            self.orders.obey(order)
            self.reconsider(key)
            answer = self.orders.answer(key)
        acknowledge()
        if answer is not None:
            self.send(answer)

    def _take_all(self, body: bytes, mail: Mail, now: datetime, claimed: str) -> bool:
        """Take each delivery as if it had come alone; whether something was kept on disk."""
        kept = False
        with closing(Gathering(self.node, self._reply)) as gathering:
            for delivery in mail.deliveries:
                try:
                    letter = self.admission.open(mail, delivery)
                except Refused as refused:
                    name = claimed if mail.sealed else task_id(delivery)
                    self._refuse(body, refused, now, name)
                else:
                    kept |= self._take(letter, gathering, now)
                if delivery is not mail.deliveries[-1]:
                    crash_point("between_deliveries")
        return kept

    def _take(self, letter: Letter, gathering: Gathering, now: datetime) -> bool:
        """Take one; whether it was kept on disk, else its end or an answer is told."""
        key = RunKey(JobId(letter.delivery.job), letter.delivery.attempt)
        answer = self._answer_again(key, letter, now)
        if answer is not None:
            self.send(answer)
            return False
        for earlier in self.spool.earlier(key):
            self.orders.stop(earlier, f"attempt {key.attempt} was asked for")
            self.reconsider(earlier.key)
        try:
            agent, action = self._admit(letter, now)
        except Refused as refused:
            gathering.add(self._reject(key, letter, refused, now))
            return False
        begin = letter.delivery.not_before
        at_once = action.inline and (begin is None or begin <= now)
        if at_once and self.backlog.wait_s():
            self.held.append(letter)
            return False
        audit.info("allowed %s %s by %s", letter.task, task_id(letter.delivery), letter.signer)
        if at_once:
            self._act_inline(key, letter, agent, action, gathering)
            return False
        self._keep(key, letter, action, now)  # what comes ahead of its time waits, whatever it is
        return True

    def _admit(self, letter: Letter, now: datetime) -> tuple[Agent, Action]:
        deadline = letter.delivery.start_before
        if deadline is not None and now > deadline:
            raise TooLate(f"not started by {deadline:%FT%TZ}")
        return self.admission.allow(letter)

    def _keep(self, key: RunKey, letter: Letter, action: Action, now: datetime) -> None:
        """Write it down; a delivery that came with others is under our own seal from now on."""
        crash_point("before_spool")
        try:
            self.spool.add(
                key,
                delivery=letter.sealed_delivery or self._seal(letter.delivery),
                request=letter.sealed_request,
                accepted_at=now,
                generation=letter.delivery.generation,
            )
        except DuplicateRun:
            logger.warning("run %s came twice at once", key)
        else:
            self.announcer.received(letter, action)
        crash_point("after_spool")

    def _act_inline(
        self,
        key: RunKey,
        letter: Letter,
        agent: Agent,
        action: Action,
        gathering: Gathering,
    ) -> None:
        """At most once: what is seen is never acted on again, so it is written down first."""
        self.seen.add(key, until=letter.delivery.start_before)
        crash_point("after_seen")
        reply = self.inline(agent, action, letter)
        self.recent.add(key, reply)
        gathering.add(reply)  # killed before: it comes again at once, and its end can be told
        self.announcer.received(letter, action)
        self.announcer.ended(reply, started=True)

    def _answer_again(self, key: RunKey, letter: Letter, now: datetime) -> str | None:
        """What is known of an attempt that is not to be begun; None if it is.

        The coordinator delivers twice when it wonders what came of an attempt.
        """
        answer = self._ended_without_spool(key, now)
        if answer is not None:
            return answer
        self.orders.carry_out(key)  # an order that was half done when we were killed
        fence = self.spool.fences.find(key)
        barred = fence is not None and fence.bars(letter.delivery.generation)
        if barred or self.spool.find(key) is not None:
            return self.orders.answer(key)
        latest = self.spool.latest(key.job)
        if key.attempt < latest:
            verdict = cancel(f"attempt {latest} is here")
            return self._seal(ended(key, self.node, verdict, now))
        if letter.delivery.known and fence is None:
            # told by a twin of this node, or before its disk was lost: it may have begun
            why = "the attempt is not on this node's disk any more"
            verdict = fail(Reason.INTERRUPTED, why, Status.UNKNOWN_ERROR)
            return self._seal(ended(key, self.node, verdict, now))
        return None

    def _ended_without_spool(self, key: RunKey, now: datetime) -> str | None:
        """The end of an inline attempt, or of one whose directory is gone."""
        told = self.recent.find(key)
        if told is not None:
            return self.signer.seal(told)
        if key in self.seen:
            why = "the action was begun and its reply was lost with the worker"
        elif key in self.gone:
            why = "the attempt is over, and the node keeps its reply no longer"
        else:
            return None
        verdict = fail(Reason.INTERRUPTED, why, Status.UNKNOWN_ERROR)
        return self._seal(ended(key, self.node, verdict, now))

    def _reject(self, key: RunKey, letter: Letter, refused: Refused, now: datetime) -> Reply:
        audit.warning(
            "refused %s %s by %s: %s", letter.task, task_id(letter.delivery), letter.signer, refused
        )
        reply = rejection(key, self.node, refused, now)
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
        self.send(self._seal(document))

    def _seal(self, document: Document) -> str:
        return self.signer.seal(encode(document))
