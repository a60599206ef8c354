"""Rollouts: a job goes over its nodes batch after batch, and stops when too many have failed.

Decided by counts alone, without a database: nodes are dealt out to batches when the job is
accepted, and a course says how far they have come.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from msgspec import Meta, Struct

from fleetjobs.errors import InvalidRollout
from fleetjobs.facts import find_fact
from fleetjobs.shares import Share, check_share, share_of

FACT = "fact:"  #: how an order begins that goes by a fact
RANDOM = "random"

Seconds = Annotated[float, Meta(ge=0, le=3660 * 24 * 3600, description="seconds")]
N = TypeVar("N", bound=str)


class Rollout(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a job goes over its nodes: batch after batch."""

    batch: Share = "100%"
    canary: Share = "0"  # nodes that go first, alone
    sleep_s: Seconds = 0  # between one batch and the next
    max_failures: Share = "0"  # once more have failed, no further node begins
    order: Annotated[str, Meta(pattern=r"\A(listed|random|fact:.+)\Z")] = "listed"
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None  # of `random`
    reach_s: Annotated[float, Meta(gt=0, le=3660 * 24 * 3600, description="seconds")] = (
        300  # a node that has not begun so long after its turn came counts as failed
    )
    by_hand: bool = False  # pause before each further batch until a person resumes


def check_rollout(rollout: Rollout, of: str = "") -> None:
    """Let a rollout pass that can be meant. Raises InvalidRollout; `of`: ` of` what it is."""
    check_share(rollout.batch, f"the batch{of}", least=1, error=InvalidRollout)
    check_share(rollout.canary, f"the canary{of}", error=InvalidRollout)
    check_share(rollout.max_failures, f"max_failures of the rollout{of}", error=InvalidRollout)


def order_nodes(
    nodes: Sequence[N], rollout: Rollout, facts: Mapping[N, Mapping[str, Any]], *, seed: str
) -> list[N]:
    """The nodes in the order they are to come.

    At random they come in the same order whenever it is asked with the same seed; `seed` stands
    in where the rollout has none. By a fact they come by its value, numbers as numbers and before
    texts, and those without it at the end; alike ones as they were given.
    """
    ordered = list(nodes)
    if rollout.order == RANDOM:
        import random  # late: no caller's side needs it

        chosen = seed if rollout.seed is None else str(rollout.seed)
        random.Random(chosen).shuffle(ordered)  # noqa: S311  an order is no secret
    elif rollout.order.startswith(FACT):
        name = rollout.order.removeprefix(FACT)
        ordered.sort(key=lambda node: _rank(find_fact(facts.get(node, {}), name)))
    return ordered


def _rank(value: object) -> tuple[int, float, str]:
    if value is None:
        return (2, 0.0, "")
    try:
        return (0, float(str(value)), "")
    except ValueError:
        return (1, 0.0, str(value))


def deal(total: int, rollout: Rollout) -> tuple[int, ...]:
    """How many of so many nodes each batch has, the canary first.

    Percentages are of all nodes, rounded down, of a batch to one node at the least; the last batch
    has what is left.
    """
    sizes = [canary] if (canary := share_of(total, rollout.canary)) else []
    batch, left = share_of(total, rollout.batch, least=1), total - sum(sizes)
    while left:
        sizes.append(min(batch, left))
        left -= sizes[-1]
    return tuple(sizes)


class Phase(StrEnum):
    """What a rollout does."""

    ROLLING = "rolling"  # its batch is at work
    RESTING = "resting"  # between one batch and the next, until its time has come
    PAUSED = "paused"  # a person says when the next batch begins
    STOPPED = "stopped"  # more have failed than may; nothing further begins


class Gate(StrEnum):
    """What becomes of a run that could begin otherwise."""

    OPEN = "open"  # it begins
    LATER = "later"  # its batch has not come
    PERSON = "person"  # a person lets it go on
    SHUT = "shut"  # it never begins


class Course(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a rollout has come, and by what it goes on."""

    sizes: tuple[int, ...]  # of the batches
    max_failures: int
    sleep_s: float = 0
    reach_s: float
    by_hand: bool = False
    pauses: bool = False  # rather than to stop
    turn: int = 1  # the batch that is out, from 1
    live: int  # of its runs, those that have not ended
    excused: int = 0  # failures that a person knew of who let it go on
    phase: Phase = Phase.ROLLING
    next_at: datetime | None = None  # of the next batch, while it rests

    def gate(self, turn: int) -> Gate:
        """What becomes of an unstarted run of that batch."""
        if self.phase is Phase.STOPPED:
            return Gate.SHUT
        if self.phase is Phase.PAUSED and turn <= self.turn + 1:
            return Gate.PERSON
        return Gate.OPEN if turn <= self.turn else Gate.LATER

    def is_spent(self, failed: int) -> bool:
        """Whether more have failed than may."""
        return failed - self.excused > self.max_failures

    @property
    def is_last(self) -> bool:
        """Whether no batch follows."""
        return self.turn >= len(self.sizes)


def begin(total: int, rollout: Rollout, *, pauses: bool = False) -> Course:
    """A rollout over so many nodes whose first batch may begin."""
    sizes = deal(total, rollout)
    return Course(
        sizes=sizes,
        max_failures=share_of(total, rollout.max_failures),
        sleep_s=rollout.sleep_s,
        reach_s=rollout.reach_s,
        by_hand=rollout.by_hand,
        pauses=pauses,
        live=sizes[0],
    )


def turns(sizes: Sequence[int]) -> list[int]:
    """The batch of each node, in their order, from 1."""
    return [turn for turn, size in enumerate(sizes, 1) for _ in range(size)]
