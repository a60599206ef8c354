"""Admission: who speaks, to whom, when, and whether it may; in the order of the original SimpleRPC.

Verify, validate, authorise; audit and action follow.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from fleetjobs.broker.tasks import read_documents
from fleetjobs.documents import decode
from fleetjobs.errors import InvalidDocument, Misaddressed, Stale, Unauthentic
from fleetjobs.interfaces import Action
from fleetjobs.layouts import Agent
from fleetjobs.messages import Deliveries, Delivery, Order, Question
from fleetjobs.names import NodeId
from fleetjobs.node.documents import as_meant
from fleetjobs.policy import Policy
from fleetjobs.registry import Registry
from fleetjobs.requests import Request
from fleetjobs.signing import (
    COORDINATOR,
    SERVER,
    VerifyKey,
    account_key_id,
    digest,
    unseal,
)

A = TypeVar("A", Delivery, Deliveries, Order, Question)
SKEW = timedelta(minutes=10)  #: how far ahead of ours the coordinator's clock may be


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """What one message brings: deliveries, which are believed, and requests, which are not yet."""

    deliveries: Sequence[Delivery]
    requests: Mapping[str, str]  # sealed, by digest
    keys: Mapping[str, VerifyKey]  # as they were when it came
    sealed: str | None = None  # the delivery, if it came alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A delivery and its request, both believed, with the sealed texts they came in."""

    delivery: Delivery
    request: Request
    signer: str  # key id of whoever signed the request
    sealed_delivery: str | None  # None: it came with others, under one seal
    sealed_request: str

    @property
    def task(self) -> str:
        """The action in full: `agent.action`."""
        return f"{self.request.agent}.{self.request.action}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What a node believes, and what it allows."""

    node: NodeId
    keys: Callable[[], Mapping[str, VerifyKey]]
    policy: Callable[[], Policy]
    registry: Registry
    facts: Callable[[], Mapping[str, object]]
    classes: Callable[[], frozenset[str]]
    own_key: str | None = None  # public, base64url; None: whatever a delivery names

    def believe(self, body: bytes, now: datetime) -> Mail | Order | Question:
        """What a message's body says.

        Raises InvalidDocument, Unauthentic, Misaddressed, or Stale: then nobody is answered, for
        nobody can be shown to have asked; the refusal is told to the coordinator.
        """
        keys = self.keys()
        match read_documents(body):
            case {"delivery": str(sealed), "request": str(request)}:
                delivery = self._addressed(Delivery, sealed, keys, now)
                asked = {digest(request): request}
                return Mail(deliveries=[delivery], requests=asked, keys=keys, sealed=sealed)
            case {"deliveries": str(sealed), "requests": [*requests]}:
                deliveries = self._addressed(Deliveries, sealed, keys, now).deliveries
                asked = {digest(request): request for request in requests}
                return Mail(deliveries=deliveries, requests=asked, keys=keys)
            case {"order": str(order)}:
                return self._addressed(Order, order, keys, now)
            case {"question": str(question)}:
                return self._addressed(Question, question, keys, now)
        raise InvalidDocument("neither a delivery with its request, nor an order, nor a question")

    def open(self, mail: Mail, delivery: Delivery) -> Letter:
        """One of the deliveries, with its request. Raises as `believe` does."""
        if delivery.node != self.node:
            raise Misaddressed(f"addressed to {delivery.node}, this is {self.node}")
        if self.own_key is not None and delivery.key not in {None, self.own_key}:
            # nobody would believe our reply, and the machine that is meant would act as well
            raise Misaddressed(f"for a machine with another key; {self.node} is enrolled with that")
        sealed_request = mail.requests.get(delivery.request)
        if sealed_request is None:
            raise Misaddressed("the request is not the one that the delivery names")
        signer, raw = unseal(sealed_request, mail.keys)
        request = decode(Request, raw)
        if signer not in {account_key_id(request.caller), SERVER}:
            raise Unauthentic(f"{signer!r:.120} may not speak for {request.caller!r:.120}")
        if request.id != delivery.job:
            raise Misaddressed(f"delivery for job {delivery.job}, request for {request.id}")
        return Letter(
            delivery=delivery,
            request=request,
            signer=signer,
            sealed_delivery=mail.sealed,
            sealed_request=sealed_request,
        )

    def allow(self, letter: Letter) -> tuple[Agent, Action]:
        """The agent and the action that are asked for.

        Raises UnknownAgent, UnknownAction, InvalidReference, MissingInput, InvalidInput or Denied:
        then the run ends with a reply that says so.
        """
        request = as_meant(letter.request, letter.delivery)
        agent = self.registry.agent(request.agent)
        action = agent.interface.action(request.action)
        action.check(request.data)
        self.policy().check(
            caller=request.caller,
            signer=letter.signer,
            agent=request.agent,
            action=request.action,
            facts=self.facts(),
            classes=self.classes(),
        )
        return agent, action

    def _addressed(
        self, kind: type[A], sealed: str, keys: Mapping[str, VerifyKey], now: datetime
    ) -> A:
        """What the coordinator says to this node."""
        signer, raw = unseal(sealed, keys)
        if signer != COORDINATOR:
            raise Unauthentic(f"{signer!r:.120} may not speak for the coordinator")
        document = decode(kind, raw)
        if document.node != self.node:
            raise Misaddressed(f"addressed to {document.node}, this is {self.node}")
        if document.issued_at > now + SKEW:
            raise Stale(f"issued at {document.issued_at:%FT%TZ}, which is ahead of {now:%FT%TZ}")
        return document
