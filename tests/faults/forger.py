"""Forger: puts letters into a node's queue and replies into the coordinator's, past all desks."""

import base64
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from dataclasses import replace as with_parts
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace
from uuid_utils import uuid7

from fleetjobs.broker.connections import REPLIES, node_queue_name
from fleetjobs.broker.parcels import Parcel
from fleetjobs.broker.publishers import open_publisher
from fleetjobs.broker.tasks import JOSE, make_parcel
from fleetjobs.documents import encode
from fleetjobs.messages import Delivery
from fleetjobs.programs.premises import ACCOUNT, ORG
from fleetjobs.requests import Request
from fleetjobs.signing import COORDINATOR, SigningKey, account_key_id, digest, node_key_id
from fleetjobs.targets import Target
from tests.faults.fleet import Fleet


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What a node finds in its queue: right in every respect, unless something is changed."""

    request: Request
    delivery: Delivery
    caller_key: SigningKey
    coordinator_key: SigningKey

    def change_request(self, **changes: Any) -> "Letter":
        """The same with another request, rightly signed and named."""
        return with_parts(self, request=replace(self.request, **changes))

    def change_delivery(self, **changes: Any) -> "Letter":
        """The same with another delivery, rightly signed."""
        return with_parts(self, delivery=replace(self.delivery, **changes))

    def seal(self) -> tuple[str, str]:
        """The sealed delivery, which names the sealed request, and that."""
        request = self.caller_key.seal(encode(self.request))
        delivery = replace(self.delivery, request=self.delivery.request or digest(request))
        return self.coordinator_key.seal(encode(delivery)), request


@dataclass(frozen=True, slots=True)
class Forger:
    """Holds every key of the fleet, and the broker."""

    fleet: Fleet

    def letter(self, node: str) -> Letter:
        """A letter that nobody sent and that the node would obey."""
        now, job = datetime.now(UTC), str(uuid7())
        request = Request(
            id=job,
            org=ORG,
            caller=ACCOUNT,
            agent="demo",
            action="mark",
            data={"file": str(self.fleet.marks)},
            target=Target(identities=(node,)),
            created_at=now,
        )
        delivery = Delivery(
            job=job,
            node=node,
            attempt=1,
            request="",
            issued_at=now,
            start_before=now + timedelta(hours=1),
        )
        return Letter(
            request=request,
            delivery=delivery,
            caller_key=SigningKey.load(account_key_id(ACCOUNT), self.fleet.premises.account_key),
            coordinator_key=SigningKey.load(COORDINATOR, self.fleet.premises.key(COORDINATOR)),
        )

    def node_key(self, node: str) -> SigningKey:
        """What a node signs with."""
        return SigningKey.load(node_key_id(node), self.fleet.premises.node(node) / "key.pem")

    def post(self, node: str, delivery: str, request: str, times: int = 1) -> str:
        """Put sealed documents into the node's queue; the SHA-256 of the body."""
        named = self.letter(node).delivery  # headers may say what they like
        parcel = make_parcel(
            delivery=named, sealed_delivery=delivery, sealed_request=request, task="rpcutil.ping"
        )
        self._publish([parcel] * times)
        return digest(parcel.body)

    def post_again(self, node: str, job: str, request: str, times: int) -> None:
        """Put a job's message into the node's queue again, as a broker would that cannot count."""
        letter = self.letter(node).change_delivery(job=job, request=digest(request))
        self.post(node, letter.seal()[0], request, times)

    def post_bytes(self, node: str, body: bytes, content_type: str) -> str:
        """Put anything into the node's queue; its SHA-256."""
        headers = {"task": "demo.mark", "id": "x", "lang": "py"}
        queue = node_queue_name(node)
        self._publish([Parcel(queue=queue, body=body, content_type=content_type, headers=headers)])
        return digest(body)

    def reply(self, *bodies: bytes | str) -> None:
        """Put anything into the reply queue."""
        raw = [body.encode() if isinstance(body, str) else body for body in bodies]
        self._publish([Parcel(queue=REPLIES, body=body, content_type=JOSE) for body in raw])

    def _publish(self, parcels: Sequence[Parcel]) -> None:
        with closing(open_publisher(self.fleet.broker_url)) as publisher:
            publisher.publish(parcels)


def alter(sealed: str, old: str, new: str) -> str:
    """The sealed document with its payload altered, and its signature kept."""
    head, payload, signature = sealed.split(".")
    text = base64.urlsafe_b64decode(payload + "==").decode()
    assert old in text
    raw = base64.urlsafe_b64encode(text.replace(old, new).encode()).rstrip(b"=").decode()
    return f"{head}.{raw}.{signature}"


def unsigned(sealed: str) -> str:
    """The sealed document as `alg: none` (RFC 7519, 6) has it."""
    head, payload, _ = sealed.split(".")
    claims = json.loads(base64.urlsafe_b64decode(head + "=="))
    raw = json.dumps({**claims, "alg": "none"}).encode()
    return f"{base64.urlsafe_b64encode(raw).rstrip(b'=').decode()}.{payload}."
