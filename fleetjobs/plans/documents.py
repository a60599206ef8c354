"""Documents: a plan as it is handed in; the same shape in JSON, in YAML, and made from a canvas.

Legs stand in one list and say what they need, so that a plan of any shape reads from top to
bottom. A group collects legs that others wait for together, as the header of a chord does.
"""

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from fleetjobs.declarations import Undo
from fleetjobs.documents import Account, Document, Id, Moment, Name, Priority
from fleetjobs.rollouts import Rollout, Seconds
from fleetjobs.shares import Share
from fleetjobs.states import StartIf
from fleetjobs.targets import Target

NAMELESS = "plan"  #: the name of a plan that has none
LEGS_MOST = 10_000  #: of one plan; a bigger one is refused

Key = Annotated[
    str, Meta(pattern=r"\A[A-Za-z][A-Za-z0-9_-]{0,63}\Z", description="a leg or a group")
]


class OnFailure(StrEnum):
    """What follows when a leg has failed and will not be tried again."""

    FAIL = "fail"  # what needs it is skipped, the rest goes on, and the plan has failed
    PAUSE = "pause"  # it waits for a person: retry, skip, roll back, resolve or cancel
    ROLLBACK = "rollback"  # what was done is undone
    CONTINUE = "continue"  # the plan does not mind; a leg that starts if it failed may see to it


class RetryMode(StrEnum):
    """What is done before a leg that failed is tried again."""

    AS_IS = "as_is"  # nothing
    ROLLBACK_SELF = "rollback_self"  # what it did itself is undone
    ROLLBACK_TO = "rollback_to"  # earlier legs are undone, too, and then done again


class Pace(StrEnum):
    """How the nodes of a leg wait for a leg before."""

    NODE = "node"  # each for itself, where both legs have that node
    BARRIER = "barrier"  # all for all


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the parts of plan documents share: unknown fields are refused."""


class Need(Part, frozen=True, kw_only=True, omit_defaults=True):
    """A leg or a group that has to end first, and how."""

    leg: Key  # or a group
    when: StartIf = StartIf.SUCCEEDED
    pace: Pace = Pace.NODE


class Member(Part, frozen=True, kw_only=True, omit_defaults=True):
    """What legs and groups share: a name of their own, and a place."""

    key: Key
    group: Key | None = None  # that it belongs to; then it needs what the group needs, too
    needs: tuple[Need, ...] = ()


class Leg(Member, frozen=True, kw_only=True, omit_defaults=True):
    """One action on a target, at its place in the plan."""

    agent: Name
    action: Name
    data: dict[str, Any] = {}  # "${legs.KEY.data.path}": what an earlier leg answered
    target: Target | None = None  # None: the plan's
    delay_s: Seconds = 0  # from the moment it could start
    not_before: Moment | None = None
    start_before: Moment | None = None
    retries: Annotated[int, Meta(ge=0, le=100)] | None = None  # None: as the action declares
    priority: Priority | None = None  # None: the plan's
    retry_mode: RetryMode = RetryMode.AS_IS
    rollback_to: tuple[Key, ...] = ()  # with `rollback_to`: those, and what needs them
    on_failure: OnFailure | None = None  # None: as the plan says
    max_failures: Share = "0"  # so many of its nodes may fail, and it has succeeded all the same
    weight: Annotated[float, Meta(gt=0, le=1e6)] = 1.0  # its share of the plan's percentage
    rollout: Rollout | None = None
    undo: Undo | Literal["nothing"] | None = None  # None: as the action declares


class Group(Member, frozen=True, kw_only=True, omit_defaults=True):
    """Legs, and other groups, that are waited for together."""

    max_failures: Share = "0"  # so many of its legs may fail, and it has succeeded all the same


class Plan(Part, frozen=True, kw_only=True, omit_defaults=True):
    """Legs that depend on one another, and what becomes of them when one fails."""

    name: Annotated[str, Meta(max_length=128)] = NAMELESS
    target: Target = Target()  # of legs that name none
    on_failure: OnFailure = OnFailure.FAIL
    max_failures: Share = "0"  # of its legs and groups
    priority: Priority = 0  # of legs that name none, among what waits for a slot
    rollback_attempts: Annotated[int, Meta(ge=1, le=100)] = 3  # of each leg's undoing
    groups: tuple[Group, ...] = ()
    legs: Annotated[tuple[Leg, ...], Meta(min_length=1)]

    @property
    def title(self) -> str:
        """What it is called: by its first and last leg, if it was given no name of its own."""
        if self.name != NAMELESS:
            return self.name
        first, last = self.legs[0].key, self.legs[-1].key
        return first if first == last else f"{first}…{last}"


class PlanRequest(Document, frozen=True, kw_only=True, tag="plan_request"):
    """A plan that a caller asks for; signed by the caller's key, or the server's for them."""

    id: Id
    org: Account
    caller: Account
    plan: Plan
    created_at: Moment
    not_before: Moment | None = None
    start_before: Moment | None = None
    is_plain: ClassVar[bool] = True
