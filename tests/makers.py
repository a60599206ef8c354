"""Makers: jobs, replies and nodes for tests, plain unless told otherwise."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from fleetjobs.jobs import Job
from fleetjobs.messages import Beat, Inventory, Reply, Stage
from fleetjobs.names import JobId, NodeId
from fleetjobs.requests import Request
from fleetjobs.signing import SigningKey, node_key_id
from fleetjobs.states import State, WaitReason
from fleetjobs.store.accepting import insert_job
from fleetjobs.store.access import create_org
from fleetjobs.store.database import Database
from fleetjobs.store.nodes import enroll_node, save_beats
from fleetjobs.targets import Target

NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
ORG = "acme"


@dataclass
class Clock:
    """A clock that stands still until it is set forward."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        """What it shows."""
        return self.now

    def forward(self, by: timedelta) -> datetime:
        """Set it forward; gives the new time."""
        self.now += by
        return self.now


def demo_interface(version: str = "1.0.0") -> dict[str, Any]:
    """An agent with one action, `demo.echo text=… [password=…]`, the latter a secret."""
    text = {"prompt": "x", "description": "x", "type": "string", "optional": True}
    return {
        "metadata": {
            "name": "demo",
            "version": version,
            "description": "for tests",
            "author": "x",
            "license": "Apache-2.0",
            "url": "https://example.org/",
            "timeout": 10,
            "provider": "fleetjobs",
        },
        "actions": [
            {
                "action": "echo",
                "description": "say it again",
                "display": "always",
                "input": {
                    "text": {**text, "optional": False, "maxlength": 100, "validation": "."},
                    "password": {**text, "maxlength": 100, "validation": "."},
                },
                "output": {},
            }
        ],
        "fleetjobs": {"actions": {"echo": {"secret": ["password"]}}},
    }


def new_id() -> JobId:
    """An id nobody has."""
    return JobId(str(uuid4()))


def make_job(nodes: int = 1, **changes: Any) -> Job:
    """A job as it is when it was accepted."""
    state = changes.get("state", State.WAITING)
    fields: dict[str, Any] = {
        "id": new_id(),
        "org": ORG,
        "caller": "alice",
        "agent": "demo",
        "action": "echo",
        "data": {"text": "a"},
        "target": Target(),
        "sealed": "sealed",
        "state": state,
        "wait_reason": WaitReason.OUTBOX if state is State.WAITING else None,
        "reason": None,
        "tally": Counter({state: nodes}),
        "completion": None,
        "attention": False,
        "created_at": NOW,
        "not_before": None,
        "start_before": NOW + timedelta(hours=24),
        "started_at": None,
        "ended_at": None,
    }
    return Job(**fields | changes)


def keep_job(database: Database, *nodes: str, **changes: Any) -> Job:
    """A job in the database, with a run on each of the nodes."""
    job = make_job(len(nodes), **changes)
    due = job.not_before or job.created_at
    with database.transaction() as connection:
        identities = [NodeId(node) for node in nodes]
        assert insert_job(connection, job, identities, meaning="m", dispatch_at=due)
    return job


def make_reply(job: JobId, node: str = "web1", **changes: Any) -> Reply:
    """The node says that the job's first attempt ended well."""
    fields: dict[str, Any] = {"job": job, "node": node, "attempt": 1, "stage": Stage.FINISHED}
    if changes.get("stage", Stage.FINISHED) is not Stage.ACCEPTED:
        fields["started_at"] = NOW
    if changes.get("stage", Stage.FINISHED) is Stage.FINISHED:
        fields |= {"state": State.SUCCEEDED, "ended_at": NOW + timedelta(seconds=1)}
    return Reply(**fields | changes)


def make_request(**changes: Any) -> Request:
    """A request for demo.echo on every node."""
    fields: dict[str, Any] = {
        "id": new_id(),
        "org": ORG,
        "caller": "alice",
        "agent": "demo",
        "action": "echo",
        "data": {"text": "a"},
        "target": Target(),
        "created_at": NOW,
    }
    return Request(**fields | changes)


def make_beat(node: str = "web1", **changes: Any) -> Beat:
    """The node lives and has the agent `demo`."""
    fields: dict[str, Any] = {
        "node": node,
        "at": NOW,
        "started_at": NOW - timedelta(hours=1),
        "software": "0.1.0",
        "inventory": Inventory(
            facts={"os": "debian"}, classes=["web"], interfaces={"demo": demo_interface()}
        ),
    }
    return Beat(**fields | changes)


def add_org(database: Database, org: str = ORG) -> None:
    """An org in the database."""
    with database.transaction() as connection:
        create_org(connection, org, now=NOW)


def enroll(database: Database, *nodes: str, org: str = ORG, alive: bool = True) -> list[SigningKey]:
    """Nodes in the database, and their keys; they have sent a beat if `alive`."""
    keys = [SigningKey.generate(node_key_id(node)) for node in nodes]
    with database.transaction() as connection:
        for node, key in zip(nodes, keys, strict=True):
            enroll_node(connection, NodeId(node), org, key.verify_key, NOW)
            if alive:
                save_beats(connection, [make_beat(node)], NOW)
    return keys
