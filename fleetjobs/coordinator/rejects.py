"""Rejects: what was not believed, by us or by a node, on record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from fleetjobs.broker.parcels import Arrival
from fleetjobs.messages import Refusal
from fleetjobs.names import NodeId
from fleetjobs.signing import digest, node_key_id
from fleetjobs.store.columns import printable
from fleetjobs.store.events import add_events, event_row
from fleetjobs.store.nodes import orgs_of

COORDINATOR = "coordinator"
_SHOWN_BYTES = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A document that could not be believed or kept."""

    digest: str  # SHA-256, hexadecimal
    begins: str  # its first bytes, as Python writes them
    code: str
    why: str

    @classmethod
    def of(cls, arrival: Arrival, code: str, why: str) -> "Reject":
        """What is worth keeping of it."""
        begins = repr(arrival.body[:_SHOWN_BYTES])
        return cls(digest=digest(arrival.body), begins=begins, code=code, why=why[:1000])


def note_rejects(connection: Connection, rejects: Sequence[Reject], now: datetime) -> None:
    """One event each; nobody's org, since nothing in it can be believed."""
    add_events(
        connection,
        [
            event_row(
                at=now,
                org=None,
                kind="reply.rejected",
                actor=COORDINATOR,
                reason=reject.code,
                detail={"sha256": reject.digest, "begins": reject.begins, "why": reject.why},
            )
            for reject in rejects
        ],
    )


def note_refusals(connection: Connection, refusals: Sequence[Refusal], now: datetime) -> None:
    """One event each, in the org of the node that refused."""
    orgs = orgs_of(connection, [NodeId(refusal.node) for refusal in refusals])
    add_events(
        connection,
        [
            event_row(
                at=now,
                org=orgs.get(NodeId(refusal.node)),
                node=NodeId(refusal.node),
                kind="node.refused",
                actor=node_key_id(refusal.node),
                reason=printable(refusal.code[:100]),
                detail={
                    "why": refusal.why,
                    "sha256": refusal.message,
                    "task": refusal.task,
                    "at": refusal.at,
                },
            )
            for refusal in refusals
        ],
    )
