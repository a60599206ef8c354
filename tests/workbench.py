"""A node's desk for tests: a spool, a host, a launcher, and agents that do as they are told."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from uuid_utils import uuid7

from fleetjobs.documents import decode, encode
from fleetjobs.messages import Delivery, Order, Reply, Stage, Verb
from fleetjobs.names import JobId, NodeId
from fleetjobs.node.backlog import Backlog
from fleetjobs.node.hosting import RunnerHost
from fleetjobs.node.launcher import Launcher
from fleetjobs.node.orders import Orders
from fleetjobs.node.reports import Reports
from fleetjobs.node.workplace import Workplace
from fleetjobs.requests import Request
from fleetjobs.signing import SigningKey, digest, node_key_id, unseal
from fleetjobs.spool.attempts import RunDirectory, RunKey
from fleetjobs.spool.spool import Spool
from fleetjobs.targets import Target
from tests.processes import PATIENCE

NODE = NodeId("web1")
CALLER = SigningKey.generate("account:ann")
COORDINATOR = SigningKey.generate("coordinator")


def wait_for(condition: Callable[[], object], within: float = 15.0) -> None:
    """Until the condition holds."""
    deadline = time.monotonic() + within * PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.01)


def now() -> datetime:
    return datetime.now(UTC)


def make_key(attempt: int = 1) -> RunKey:
    return RunKey(JobId(str(uuid7())), attempt)


def seal_run(
    key: RunKey,
    *,
    agent: str = "shell",
    action: str = "do",
    not_before: datetime | None = None,
    start_before: datetime | None = None,
    generation: int = 0,
    **data: Any,
) -> tuple[str, str]:
    """A delivery and its request, sealed."""
    request = CALLER.seal(
        encode(
            Request(
                id=key.job,
                org="acme",
                caller="ann",
                agent=agent,
                action=action,
                data=data,
                target=Target(),
                created_at=now(),
            )
        )
    )
    delivery = COORDINATOR.seal(
        encode(
            Delivery(
                job=key.job,
                node=NODE,
                attempt=key.attempt,
                generation=generation,
                request=digest(request),
                issued_at=now(),
                not_before=not_before,
                start_before=start_before,
            )
        )
    )
    return delivery, request


def write_agent(
    directory: Path,
    name: str,
    *,
    program: str = "",
    module: str = "",
    timeout: float = 60,
    inputs: dict[str, Any] | None = None,
) -> None:
    """An agent with one action `do`, that takes an optional string `text`."""
    text = {"type": "string", "prompt": "x", "description": "x", "optional": True, "maxlength": 0}
    action = {
        "action": "do",
        "description": "x",
        "display": "always",
        "input": inputs if inputs is not None else {"text": text | {"default": "hello"}},
        "output": {"kind": {"description": "x", "display_as": "Kind", "default": "plain"}},
    }
    metadata = {
        "name": name,
        "description": "x",
        "author": "x",
        "license": "x",
        "version": "1.0.0",
        "url": "x",
        "timeout": 60,
        "provider": "fleetjobs",
    }
    options = {"actions": {"do": {"timeout_s": timeout}}}
    document = {"metadata": metadata, "actions": [action], "fleetjobs": options}
    place = directory / name
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{name}.json").write_text(json.dumps(document))
    if module:
        (place / f"{name}.py").write_text(module)
    if program:
        (place / name).write_text(program)
        (place / name).chmod(0o755)


@dataclass
class Desk:
    """A whole node without broker: what is accepted here runs in real processes."""

    root: Path
    output_limit: int = 10 * 1024 * 1024
    slots: int = 4
    grace_s: float = 1.0
    started: list[Reply] = field(default_factory=list)
    finished: list[Reply] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    limits: dict[str, int] = field(default_factory=dict)  # by agent.action

    def __post_init__(self) -> None:
        self.signer = SigningKey.generate(node_key_id(NODE))
        self.signer.save(self.root / "node.pem")
        self.agents = self.root / "agents"
        self.marks = self.root / "marks"
        (self.root / "node.json").write_text(json.dumps({"identity": NODE, "facts": {"os": "x"}}))
        self.workplace = Workplace(
            node=NODE,
            spool=self.root / "spool",
            key=self.root / "node.pem",
            agents=(self.agents,),
            libdirs=(self.root / "libdir",),
            plugin_d=self.root / "plugin.d",
            node_file=self.root / "node.json",
            environments=self.root / "environment",
            output_limit=self.output_limit,
            grace_s=self.grace_s,
        )
        self.open()

    def open(self) -> None:
        """Start the worker's part; again after `close`, as after a restart."""
        self.spool = Spool(self.workplace.spool)
        self.host = RunnerHost(self.workplace)
        self.orders = Orders(node=NODE, spool=self.spool, signer=self.signer, clock=now)
        self.launcher = Launcher(
            spool=self.spool,
            host=self.host,
            orders=self.orders,
            backlog=Backlog(),
            reports=Reports(
                node=NODE,
                spool=self.spool,
                signer=self.signer,
                clock=now,
                send=self.sent.append,
                on_outbox=lambda: None,
            ),
            slots=self.slots,
            limits=self.limits.get,
            clock=now,
            on_started=self.started.append,
            on_finished=self._note_finished,
        )

    def _note_finished(self, reply: Reply, *, told: bool) -> None:
        attempts = [(started.job, started.attempt) for started in self.started]
        assert told == ((reply.job, reply.attempt) in attempts)
        self.finished.append(reply)

    def close(self) -> None:
        """Stop the worker's part; the runners go on."""
        self.host.stop()

    def shell(self, script: str, **options: Any) -> None:
        """Make `shell.do` run this script."""
        write_agent(self.agents, "shell", program=f"#!/bin/sh\n{script}\n", **options)

    def accept(self, key: RunKey | None = None, **options: Any) -> RunDirectory:
        """Put a run into the spool."""
        key = key or make_key()
        delivery, request = seal_run(key, **options)
        return self.spool.add(
            key,
            delivery=delivery,
            request=request,
            accepted_at=now(),
            generation=options.get("generation", 0),
        )

    def order(self, verb: Verb, key: RunKey, generation: int = 1) -> Reply:
        """What the receiver does with an order; how the attempt stands then."""
        order = Order(
            job=key.job,
            node=NODE,
            attempt=key.attempt,
            generation=generation,
            verb=verb,
            issued_at=now(),
        )
        self.orders.obey(order)
        self.launcher.reconsider(key)
        answer = self.orders.answer(key)
        assert answer is not None
        return decode(Reply, unseal(answer, {self.signer.id: self.signer.verify_key})[1])

    def drive(self, until: Callable[[], object], within: float = 20.0) -> None:
        """Let the launcher work until the condition holds."""
        deadline = time.monotonic() + within * PATIENCE
        while True:
            self.launcher.step()
            if until():
                return
            assert time.monotonic() < deadline, "did not come true in time"
            self.launcher.wait(0.05)

    def reply(self, run: RunDirectory, within: float = 20.0) -> Reply:
        """The final reply, when it has come."""
        self.drive(lambda: run.is_settled, within)
        return self.read(run)

    def read(self, run: RunDirectory) -> Reply:
        """The final reply that is there."""
        sealed = run.final()
        assert sealed is not None
        keys = {self.signer.id: self.signer.verify_key}
        reply = decode(Reply, unseal(sealed, keys)[1])
        assert reply.stage is Stage.FINISHED
        return reply

    def do(self, **options: Any) -> Reply:
        """Accept a run and give its final reply."""
        return self.reply(self.accept(**options))
