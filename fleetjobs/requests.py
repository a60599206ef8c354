"""Requests: what callers sign; nodes check it, whoever passed it on."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from fleetjobs.documents import Account, Document, Id, Identity, Moment, Name, Priority, Splay
from fleetjobs.rollouts import Rollout
from fleetjobs.states import StartIf
from fleetjobs.targets import Target


class After(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Another job, or one of its runs, that has to end first."""

    job: Id
    node: Identity | None = None  # None: the whole job
    when: StartIf = StartIf.SUCCEEDED


class Request(Document, frozen=True, kw_only=True, tag="request"):
    """What a caller asks for; signed by the caller's key, the same bytes for every node."""

    id: Id
    org: Account
    caller: Account
    agent: Name
    action: Name
    data: dict[str, Any]
    target: Target
    created_at: Moment
    not_before: Moment | None = None
    start_before: Moment | None = None
    keep: Annotated[
        bool, Meta(description="never too late: without a start_before none is set")
    ] = False
    after: tuple[After, ...] = ()
    retries: Annotated[int, Meta(ge=0, le=100)] | None = None  # None: as the action declares
    rollout: Rollout | None = None  # None: all nodes at once; the nodes themselves do not mind
    priority: Priority = 0
    splay_s: Splay = 0
    is_plain: ClassVar[bool] = True
