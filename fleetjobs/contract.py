"""Contract: what a node and an agent's program say to each other, beside the reply itself.

The JSON Schemas `agent-request`, `agent-reply` and `agent-progress` are made from these and from
`node.verdict.ReplyDocument`; `agents/README.md` tells the whole contract.
"""

from typing import Annotated, Any, TypedDict

from msgspec import Meta, Struct

from fleetjobs.declarations import Name
from fleetjobs.targets import Target

NEXT_MOST = 1000  #: jobs that one reply may ask for

Delay = Annotated[float, Meta(ge=0, le=366 * 24 * 3600, description="seconds, up to a year")]
Text = Annotated[str, Meta(max_length=4096)]


class RequestDocument(TypedDict):
    """What a program reads: one attempt of one run."""

    job: Annotated[str, Meta(description="the job's id")]
    run: Annotated[str, Meta(description="the job's id and the node, joined by a dot")]
    node: Annotated[str, Meta(description="the node's identity")]
    attempt: Annotated[int, Meta(ge=1, description="1 is the first")]
    org: str
    caller: Annotated[str, Meta(description="the account that asks")]
    agent: Name
    action: Name
    data: Annotated[
        dict[str, Any], Meta(description="the inputs, valid by the interface, defaults filled in")
    ]
    deadline: Annotated[str, Meta(description="RFC 3339, UTC: when the attempt will be ended")]


class Next(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A job that an action asks for, to follow its own once that has succeeded."""

    action: Name
    agent: Annotated[Name | None, Meta(description="null: the same agent")] = None
    data: Annotated[dict[str, Any], Meta(description="its inputs")] = {}
    target: Annotated[Target | None, Meta(description="null: the same node")] = None
    delay_s: Delay = 0


class Progress(Struct, frozen=True, omit_defaults=True):
    """One line of a program's progress; other keys are left to those who know them."""

    percent: Annotated[float, Meta(ge=0, le=100)] | None = None
    text: Text = ""
