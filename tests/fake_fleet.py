"""A made-up fleet for the fake server: nodes that reply, fail or stay silent, as they were told."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fleetjobs.names import NodeId
from fleetjobs.nodes import Node
from fleetjobs.requests import Request
from fleetjobs.states import TERMINAL, State, Tally, completion, derive

Outcome = dict[str, Any] | None  # what a run ends as; None: it never does
Json = dict[str, Any]

RPCUTIL: Json = {
    "metadata": {
        "name": "rpcutil",
        "description": "Questions that any node answers about itself",
        "author": "fleetjobs",
        "license": "Apache-2.0",
        "version": "1.0.0",
        "url": "https://example.org",
        "timeout": 5,
        "provider": "fleetjobs",
    },
    "actions": [
        {
            "action": "ping",
            "description": "Whether the node answers",
            "input": {},
            "output": {"pong": {"description": "its time", "display_as": "Pong"}},
            "display": "always",
        },
        {
            "action": "get_fact",
            "description": "One fact of the node",
            "input": {
                "fact": {
                    "prompt": "Fact",
                    "description": "the fact's name",
                    "type": "string",
                    "optional": False,
                    "validation": "^[\\w.]+$",
                    "maxlength": 40,
                }
            },
            "output": {
                "fact": {"description": "its name", "display_as": "Fact"},
                "value": {"description": "its value", "display_as": "Value"},
            },
            "display": "always",
            "aggregate": [{"function": "summary", "args": ["value"]}],
        },
        {
            "action": "test",
            "description": "An action named like a method",
            "input": {
                "count": {
                    "prompt": "Count",
                    "description": "how many",
                    "type": "integer",
                    "optional": True,
                    "default": 1,
                },
                "secret": {
                    "prompt": "Secret",
                    "description": "not to be shown",
                    "type": "string",
                    "optional": True,
                    "validation": "shellsafe",
                    "maxlength": 20,
                },
            },
            "output": {},
            "display": "failed",
        },
    ],
    "fleetjobs": {"actions": {"test": {"secret": ["secret"]}}},
}


@dataclass(kw_only=True)
class FakeNode:
    """A made-up node."""

    name: str
    outcome: Callable[[Request], Outcome]
    delay: float = 0.0  # seconds
    facts: Json = field(default_factory=lambda: {"os": {"name": "Debian"}, "cpus": 2})
    classes: tuple[str, ...] = ("web",)
    alive: bool = True
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def node(self) -> Node:
        """As the words know it."""
        return Node(
            identity=NodeId(self.name),
            org="acme",
            facts=self.facts,
            classes=frozenset(self.classes),
            agents={"rpcutil": "1.0.0"},
            software="0.1.0",
            seen_at=datetime(2026, 11, 20, 12, tzinfo=UTC),
            started_at=datetime(2026, 11, 20, 11, tzinfo=UTC),
            running=0,
            waiting=0,
            refused=self.refused,
        )


def ok(**data: Any) -> Callable[[Request], Outcome]:
    """A run that succeeds with that data."""
    return lambda _: {"state": "succeeded", "statuscode": 0, "statusmsg": "OK", "data": data}


def failed(message: str = "broken", **more: Any) -> Callable[[Request], Outcome]:
    """A run that fails."""
    return lambda _: {
        "state": "failed",
        "reason": "aborted",
        "statuscode": 1,
        "statusmsg": message,
        **more,
    }


def silent(_: Request) -> Outcome:
    """A run that never ends."""
    return None


def stamp(moment: datetime | None) -> str | None:
    """A time as the interface writes it."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


class FakeJob:
    """A job of the fake server: its document, runs and events."""

    def __init__(self, request: Request, nodes: list[str]) -> None:
        """A job that was accepted now, queued on those nodes."""
        now = stamp(datetime.now(UTC))
        self.request = request
        self.created_at = now
        self.ended_at: str | None = None
        self.version = 1
        self.events: list[Json] = []
        self.runs: dict[str, Json] = {
            name: {
                "job": request.id,
                "node": name,
                "state": "queued",
                "wait_reason": None,
                "reason": None,
                "attempt": 1,
                "statuscode": None,
                "statusmsg": "",
                "data": {},
                "exit_code": None,
                "queued_at": now,
                "started_at": None,
                "ended_at": None,
                "logs": {"stdout": {"size": 0}, "stderr": {"size": 0}},
                "generation": 0,
                "pending": None,
                "pending_at": None,
                "confirmed": True,
                "tries": 1,
                "next_attempt_at": None,
                "attention": False,
                "blocked_by": None,
            }
            for name in nodes
        }

    @property
    def document(self) -> Json:
        """As the interface shows it."""
        request = self.request
        tally = Tally(State(run["state"]) for run in self.runs.values())
        state = derive(tally)
        return {
            "id": request.id,
            "org": request.org,
            "caller": request.caller,
            "agent": request.agent,
            "action": request.action,
            "data": request.data,
            "target": {"identities": list(request.target.identities)},
            "state": state,
            "wait_reason": None,
            "reason": "runs_failed" if state == "failed" else None,
            "completion": completion(tally) if state in TERMINAL else None,
            "attention": False,
            "version": self.version,
            "rerun_of": None,
            "after": [],
            "pending": dict(
                Counter(run["pending"] for run in self.runs.values() if run["pending"])
            ),
            "confirmed": all(run["confirmed"] for run in self.runs.values()),
            "max_attempts": 1,
            "nodes": len(self.runs),
            "tally": {key.value: count for key, count in tally.items() if count},
            "created_at": self.created_at,
            "not_before": stamp(request.not_before),
            "start_before": stamp(request.start_before),
            "started_at": self.created_at,
            "ended_at": self.ended_at,
        }

    @property
    def is_over(self) -> bool:
        """Whether every run has ended."""
        return all(run["state"] in TERMINAL for run in self.runs.values())


def a_fleet(size: int) -> list[FakeNode]:
    """Nodes of every kind: most are well, some fail, one says rude things, some are silent."""
    nodes = []
    for number in range(1, size + 1):
        outcome = ok(pong=1_763_000_000 + number, value=("Debian", "Ubuntu")[number % 3 == 0])
        if number % 10 == 4:
            outcome = failed("apt is locked by process 4711\nE: could not get lock")
        elif number % 10 == 7:
            outcome = silent
        elif number % 10 == 9:
            outcome = ok(pong="\x1b[31mred\x1b[0m [/bold] \x07", value="[red]x")
        name = f"web{number}.example.org"
        nodes.append(
            FakeNode(
                name=name,
                outcome=outcome,
                delay=number * 0.15,
                alive=number % 10 != 7,
                facts={"os": {"name": ("Debian", "Ubuntu")[number % 3 == 0]}, "cpus": number % 4},
            )
        )
    return nodes
