"""Warmth: what a runner would do for the first time, done once before runners are forked.

The first use of a codec, of a document's type, of the signing library costs a runner some
hundred microseconds each, and all runners the same. A fork inherits what its parent has done.
"""

import os
import selectors
from datetime import datetime
from pathlib import Path

import msgspec

from fleetjobs import agent as python
from fleetjobs.documents import decode, encode
from fleetjobs.messages import Delivery, Reply, Stage
from fleetjobs.names import NodeId
from fleetjobs.node.process import holder
from fleetjobs.node.verdict import ReplyDocument
from fleetjobs.requests import Request
from fleetjobs.signing import SigningKey, digest, peek
from fleetjobs.spool.attempts import Accepted, Program
from fleetjobs.states import State
from fleetjobs.targets import Target

_JOB = "00000000-0000-7000-8000-000000000000"


def warm_up(now: datetime) -> None:
    """Read and write one of each document, sign one, act once; nothing of it is kept."""
    node, signer = NodeId("none"), SigningKey.generate("none")
    request = signer.seal(encode(_request(now)))
    delivery = Delivery(job=_JOB, node=node, attempt=1, request=digest(request), issued_at=now)
    reply = Reply(
        job=_JOB,
        node=node,
        attempt=1,
        stage=Stage.FINISHED,
        state=State.SUCCEEDED,
        ended_at=now,
    )
    decode(Request, peek(request))
    decode(Delivery, encode(delivery))
    decode(Reply, encode(reply))
    msgspec.json.decode(b"{}", type=ReplyDocument)
    me = holder(os.getpid())
    accepted = Accepted(accepted_at=now, delivery="", request=request)
    for kept in (me, accepted, Program(holder=me, started_at=now, deadline=0.0)):
        msgspec.json.decode(msgspec.json.encode(kept), type=type(kept))
    selectors.DefaultSelector().close()
    python.act(_Probe, {"action": "probe", "data": {}}, python.Node.read(Path("/none")))


def _request(now: datetime) -> Request:
    return Request(
        id=_JOB,
        org="none",
        caller="none",
        agent="none",
        action="none",
        data={},
        target=Target(),
        created_at=now,
    )


class _Probe(python.Agent):
    @python.action
    def probe(self) -> None:
        """Nothing."""
