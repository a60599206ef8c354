"""Documents: how what the server sends is shown as JSON, and in which style states are named."""

import json
import re
from collections.abc import Mapping
from typing import Any

from fleetjobs.states import State

_RISKY = "[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"


def in_json(document: Any, indent: int | None = 2) -> str:
    """JSON that is safe to look at: what a terminal might act on is escaped."""
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    return re.sub(_RISKY, lambda found: f"\\u{ord(found[0]):04x}", text)


def style_of(state: str) -> str | None:
    """The style of a state's name."""
    return {
        State.SUCCEEDED: "green",
        State.FAILED: "red",
        State.EXPIRED: "red",
        State.RUNNING: "cyan",
        State.PAUSED: "yellow",
        State.CANCELLED: "yellow",
    }.get(State(state) if state in frozenset(State) else State.QUEUED)


def is_plan(job: Mapping[str, Any]) -> bool:
    """Whether the job, or leg, is made of other jobs."""
    return str(job.get("kind", "action")) != "action"
