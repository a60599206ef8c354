"""A server that knows one plan, for whoever shows plans: what is asked of it and what it says."""

import json
from typing import Any

from fleetjobs.client.fleet import Fleet
from fleetjobs.client.profile import Profile
from fleetjobs.errors import Problem

Json = dict[str, Any]
PLAN = "0199c1f0-0000-7000-8000-000000000000"

VM: Json = {
    "metadata": {"name": "vm", "version": "1.0.0", "timeout": 60},
    "actions": [
        {
            "action": "make",
            "input": {"name": {"type": "string"}, "size": {"type": "integer", "default": 10}},
            "output": {"path": {"type": "string"}},
        },
        {"action": "start", "input": {"path": {"type": "string"}}, "output": {}},
        {"action": "remove", "input": {"name": {"type": "string"}}, "output": {}},
    ],
    "fleetjobs": {
        "actions": {"make": {"undo": {"action": "remove", "data": {"name": "${data.name}"}}}}
    },
}


def leg(key: str, state: str = "waiting", **more: Any) -> Json:
    """A leg or a group as the server describes it."""
    count = more.pop("count", 1)
    return {
        "id": f"id-{key}",
        "key": key,
        "kind": "action",
        "group": None,
        "agent": "vm",
        "action": key.partition("_")[0],
        "state": state,
        "reason": None,
        "wait_reason": None,
        "needs": [],
        "tally": {state: count},
        "weight": 1.0,
        "percent_complete": None,
        "undoes": None,
        "started_at": None,
        **more,
    }


def need(key: str, when: str = "succeeded", pace: str = "node") -> Json:
    """What a leg waits for, as the server describes it."""
    return {"leg": key, "job": f"id-{key}", "when": when, "pace": pace}


class PlanServer:
    """A transport that answers by itself; each look at the legs shows the next scene."""

    def __init__(self, *scenes: list[Json]) -> None:
        self.profile = Profile(url="http://x", token="", origin="test")
        self.posted: list[tuple[str, Json]] = []
        self.scenes = list(scenes)
        self.runs: dict[str, list[Json]] = {}
        self.refusal: Problem | None = None
        self.end = "succeeded"
        self.told: Json = {}  # of the plan, beside all else

    @property
    def fleet(self) -> Fleet:
        """A fleet that asks here."""
        return Fleet(self)  # type: ignore[arg-type]  it keeps to what is asked of it

    def close(self) -> None:
        """Nothing is open."""

    def plan(self) -> Json:
        """The plan; it has ended with the last scene."""
        state = "running" if len(self.scenes) > 1 else self.end
        return {
            **leg("build", state),
            "id": PLAN,
            "kind": "plan",
            "agent": "plan",
            "action": "build",
            "parts": 2,
            "nodes": 0,
            "data": {},
            "target": {},
            "caller": "ann",
            "org": "ops",
            "completion": None if state == "running" else "full",
            "percent_complete": 50.0 if state == "running" else 100.0,
            "created_at": "2026-11-21T12:00:00Z",
            "not_before": None,
            "start_before": None,
            "started_at": "2026-11-21T12:00:00Z",
            "ended_at": None if state == "running" else "2026-11-21T12:01:30Z",
            **self.told,
        }

    def post(self, *path: str, body: bytes, content_type: str) -> Any:
        """A plan is handed in, or tried."""
        assert content_type == "application/json"
        if self.refusal is not None:
            raise self.refusal
        document = json.loads(body)
        self.posted.append(("/".join(path), document))
        if path == ("plans",):
            return self.plan()
        legs = document["plan"]["legs"]
        return {
            "legs": [
                {
                    **{name: one[name] for name in ("key", "agent", "action")},
                    "kind": "action",
                    "group": one.get("group"),
                    "needs": [need(each["leg"]) for each in one.get("needs", [])],
                    "nodes": [f"web{n}" for n in range(1, 7)],
                    "on_failure": "fail",
                    "max_failures": 0,
                    "max_attempts": 3,
                }
                for one in legs
            ]
        }

    def get(self, *path: str, query: object = (), within: float = 0) -> Any:  # noqa: ARG002
        """What is asked of plans, legs and agents."""
        match path:
            case ("agents", "vm"):
                return {"name": "vm", "interface": VM}
            case ("agents", name):
                raise Problem(404, {"detail": f"no agent {name}", "code": "not_found"})
            case ("agents",):
                return {"items": [{"name": "vm", "description": ""}]}
            case ("jobs", _, "legs"):
                found = self.scenes[0]
                if len(self.scenes) > 1:
                    self.scenes.pop(0)
                return {"items": found, "next": None}
            case ("jobs", name, "runs"):
                return {"items": self.runs.get(name, []), "next": None}
            case ("jobs",):
                return {"items": [self.plan()], "next": None}
        legs = {found["id"]: found for found in self.scenes[0]}
        return legs.get(path[1]) or self.plan()

    def get_bytes(self, *path: str, query: object = ()) -> tuple[bytes, Json]:  # noqa: ARG002
        """What a leg's program wrote: where it ran."""
        return f"of {path[3]}\n".encode(), {}
