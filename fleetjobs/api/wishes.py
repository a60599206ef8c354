"""Wishes: how something is to be done to a job, as the body of a request says it."""

from typing import Literal

import msgspec
from msgspec import Struct

from fleetjobs.documents import Id
from fleetjobs.plans.documents import Key, RetryMode
from fleetjobs.targets import Target


class Choice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of the job's nodes are meant."""

    target: Target = Target()  # all of them


class Cancel(Choice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a job is to be called off."""

    force: bool = False  # it is over now, whatever its nodes know
    rollback: bool = False  # of a plan: what it has done is undone then


class Verdict(Choice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came of runs that wait for a person."""

    outcome: Literal["succeeded", "failed"] = msgspec.field(name="as")


class Again(Choice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The name of the new job, if there is to be one; asked for twice, it is the same job."""

    id: Id | None = None


class Retry(Again, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be undone first, of legs that wait for a person; null: as the plan says."""

    mode: RetryMode | None = None
    rollback_to: tuple[Key, ...] = ()  # with that mode: the legs to go back to
