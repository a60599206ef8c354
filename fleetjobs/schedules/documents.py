"""Documents: a schedule as it is handed in: what is done, when, and what if that cannot be."""

from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct

from fleetjobs.documents import Moment, Name, Priority
from fleetjobs.plans.documents import Plan
from fleetjobs.schedules.rules import Rule
from fleetjobs.targets import Target

GRACE_S = 900.0  #: how late an occurrence may still start
CATCH_UP_MOST = 100  #: occurrences that `run_all` makes up for at once

Label = Annotated[
    str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z", description="unique in its org")
]
Seconds = Annotated[float, Meta(ge=0, le=366 * 24 * 3600, description="seconds")]


class Misfire(StrEnum):
    """What becomes of occurrences that nobody started at their time."""

    RUN_ONCE = "run_once"  # within the grace one job for all of them; beyond it an expired one
    RUN_ALL = "run_all"  # within the grace one job for each, up to `catch_up`
    SKIP = "skip"  # they are missed


class Overlap(StrEnum):
    """What becomes of an occurrence while an earlier job is alive."""

    QUEUE_ONE = "queue_one"  # one waits behind the one that runs; what comes meanwhile is skipped
    COALESCE = "coalesce"  # skipped: the job that waits, or else the one that runs, handles it
    SKIP = "skip"  # skipped
    QUEUE_ALL = "queue_all"  # it waits in line, of which `queue_limit` is the length
    ALLOW = "allow"  # both run
    CANCEL_PREVIOUS = "cancel_previous"  # the earlier one is cancelled


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the parts of a schedule share: unknown fields are refused."""


class Call(Part, frozen=True, kw_only=True, omit_defaults=True):
    """An action on a target."""

    agent: Name
    action: Name
    data: dict[str, Any] = {}
    target: Target = Target()
    retries: Annotated[int, Meta(ge=0, le=100)] | None = None  # None: as the action declares
    priority: Priority | None = None


class TemplateCall(Part, frozen=True, kw_only=True, omit_defaults=True):
    """A template with values for its parameters."""

    name: Label
    version: Annotated[int, Meta(ge=1)] | None = None  # None: the newest at each start
    params: dict[str, Any] = {}
    target: Target | None = None  # None: the template's own


class Work(Part, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be done: exactly one of these."""

    call: Call | None = None
    plan: Plan | None = None
    template: TemplateCall | None = None


class Schedule(Part, frozen=True, kw_only=True, omit_defaults=True):
    """Work that recurs by a rule."""

    label: Label
    work: Work
    rule: Rule
    description: Annotated[str, Meta(max_length=1000)] = ""
    enabled: bool = True
    active_from: Moment | None = None
    active_till: Moment | None = None
    max_jobs: Annotated[int, Meta(ge=1)] | None = None  # then it is over
    jitter_s: Seconds = 0  # each occurrence starts up to so much later, always the same
    splay_s: Seconds = 0  # its nodes start spread over so long
    priority: Priority | None = None  # of its jobs; None: as the plan or the template says
    misfire: Misfire = Misfire.RUN_ONCE
    misfire_grace_s: Seconds = GRACE_S
    catch_up: Annotated[int, Meta(ge=1, le=CATCH_UP_MOST)] = 10  # of `run_all`
    overlap: Overlap = Overlap.QUEUE_ONE
    queue_limit: Annotated[int, Meta(ge=1, le=1000)] = 10  # of `queue_all`
    start_within_s: Seconds | None = None  # of each job; None: as for a job with a time
    notify: tuple[str, ...] = ()  # sinks that hear of failure and recovery: mail:…, webhook:…
