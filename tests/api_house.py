"""A server in this process with two orgs and a few nodes, for tests of the interface."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from fleetjobs.access import FLEET, Role
from fleetjobs.api.app import make_app
from fleetjobs.control.acceptance import Acceptance
from fleetjobs.control.jobs import Control
from fleetjobs.control.rights import Register
from fleetjobs.messages import Answer, Beat, Inventory, Reply, Stage
from fleetjobs.names import JobId, NodeId
from fleetjobs.signing import SERVER, SigningKey, account_key_id, node_key_id
from fleetjobs.states import Reason, State
from fleetjobs.store.access import Account, create_account, create_org
from fleetjobs.store.bells import CHANGES
from fleetjobs.store.database import Database, ring
from fleetjobs.store.losses import lose_runs
from fleetjobs.store.nodes import enroll_node, save_beats
from fleetjobs.store.questions import mark_asked, questions_to_send, save_answers
from fleetjobs.store.replies import apply_replies
from fleetjobs.store.tokens import create_token
from tests.fake_fleet import RPCUTIL
from tests.processes import PATIENCE

NODES = ("web1", "web2", "web3")


@dataclass(kw_only=True)
class House:
    """A server's parts, and what its fleet would do."""

    database: Database
    app: FastAPI
    key: SigningKey  # ann's
    tokens: dict[str, str]  # by account
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def client(self, account: str = "ann") -> TestClient:
        """A client with that account's token; enter it to start the app."""
        headers = {"Authorization": f"Bearer {self.tokens[account]}"}
        return TestClient(self.app, headers=headers, raise_server_exceptions=False)

    def reply(self, job: str, *nodes: str, state: State = State.SUCCEEDED, **more: Any) -> None:
        """These nodes report that their runs ended."""
        moment = datetime.now(UTC)
        replies = [
            Reply(
                job=job,
                node=node,
                attempt=1,
                stage=Stage.FINISHED,
                state=state,
                reason=None if state is State.SUCCEEDED else Reason.ABORTED,
                started_at=moment,
                ended_at=moment,
                **more,
            )
            for node in nodes
        ]
        self._keep(replies)

    def begin(self, job: str, *nodes: str) -> None:
        """These nodes report that their runs are at work."""
        moment = datetime.now(UTC)
        self._keep(
            [
                Reply(job=job, node=node, attempt=1, stage=Stage.STARTED, started_at=moment)
                for node in nodes
            ]
        )

    def _keep(self, replies: list[Reply]) -> None:
        moment = datetime.now(UTC)
        with self.database.transaction() as connection:
            for moved in apply_replies(connection, replies, moment):
                ring(connection, CHANGES, moved)

    def lose(self, job: str, node: str) -> None:
        """The node has been silent for too long."""
        moment = datetime.now(UTC)
        with self.database.transaction() as connection:
            name = (JobId(job), NodeId(node))
            lose_runs(connection, [name], moment, chance=lambda: 0.5)

    def answer(self, *silent: str, within: float = 5.0, **said: Any) -> None:
        """Nodes answer the next questions, with that; but for the silent ones."""
        end = time.monotonic() + within * PATIENCE
        while time.monotonic() < end:
            now = datetime.now(UTC)
            with self.database.transaction() as connection:
                asked = questions_to_send(connection, now, 100)
                mark_asked(connection, asked, now)
                answers = [
                    Answer(node=question.node, question=question.id, at=now, **said)
                    for question in asked
                    if question.node not in silent
                ]
                for question in save_answers(connection, answers, now):
                    ring(connection, CHANGES, question)
            if asked:
                return
            time.sleep(0.01)
        raise AssertionError("nobody was asked")


def make_house(url: str) -> House:
    """Orgs acme (ann admin, olaf operator, vera viewer; three nodes) and other (eve; one node).

    `url` is of a database that has all tables.
    """
    database = Database.open(url)
    now = datetime.now(UTC)
    key = SigningKey.generate(account_key_id("ann"))
    tokens = {}
    with database.transaction() as connection:
        for org in ("acme", "other"):
            create_org(connection, org, now=now)
        for name, org, role in (
            ("ann", "acme", Role.ADMIN),
            ("olaf", "acme", Role.OPERATOR),
            ("vera", "acme", Role.VIEWER),
            ("eve", "other", Role.ADMIN),
            ("edith", "acme", Role.EDITOR),
            ("root", FLEET, Role.FLEET_ADMIN),
        ):
            own = key.verify_key if name == "ann" else None
            account = Account(name=name, org=org, role=role, verify_key=own)
            create_account(connection, account, now=now)
            tokens[name] = create_token(connection, name, name="test", now=now)
        for node, org in (*((name, "acme") for name in NODES), ("foreign1", "other")):
            node_key = SigningKey.generate(node_key_id(node)).verify_key
            enroll_node(connection, NodeId(node), org, node_key, now)
            save_beats(connection, [beat(node, now)], now)
    app = make_app(
        database,
        control=Control(database, _clock, acceptance=Acceptance(Register())),
        clock=_clock,
        key=SigningKey.generate(SERVER),
    )
    return House(database=database, app=app, key=key, tokens=tokens)


def _clock() -> datetime:
    return datetime.now(UTC)


def beat(node: str, now: datetime, refused: dict[str, str] | None = None) -> Beat:
    """A node's word that it lives and has the agent rpcutil."""
    inventory = Inventory(
        facts={"os": {"name": "Debian"}, "cpus": 2},
        classes=["web"],
        interfaces={"rpcutil": RPCUTIL},
        refused=refused or {},
    )
    return Beat(node=node, at=now, started_at=now, software="0.1.0", inventory=inventory)
