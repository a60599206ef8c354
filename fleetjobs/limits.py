"""Limits: how many runs of an action may be at work at once: fleet-wide, in an org, on a node."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from fleetjobs.errors import InvalidDocument

MOST = 1_000_000  #: a limit beyond that is a mistake
_ACTION = re.compile(r"\A[a-z0-9_]{1,64}\.[a-z0-9_]{1,64}\Z")


class Scope(StrEnum):
    """What a limit counts together."""

    FLEET = "fleet"  # all runs of the action, whosever they are
    ORG = "org"  # those of one org
    NODE = "node"  # those on one node


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """So many runs of an action at once."""

    action: str  # agent.action
    scope: Scope
    name: str | None = None  # of the org or node; None: of each by itself, or the fleet
    most: int
    declared: bool = False  # by an interface; else an admin set it


def check_limit(limit: Limit) -> None:
    """Let a limit pass that means something. Raises InvalidDocument."""
    if not _ACTION.match(limit.action):
        raise InvalidDocument(f"{limit.action[:80]!r} names no action; write AGENT.ACTION")
    if not 1 <= limit.most <= MOST:
        raise InvalidDocument(
            f"max_parallel {limit.most}: a number from 1 to {MOST}; `fj pause` stops all starts"
        )
    if limit.scope is Scope.FLEET and limit.name is not None:
        raise InvalidDocument(f"the fleet has no name, {limit.name[:80]!r} was given")


class Ceilings:
    """All limits, asked by action, org and node."""

    def __init__(self, limits: Iterable[Limit]) -> None:
        """Take them; there may be two of a name, a declared one and an admin's."""
        self._set: dict[tuple[str, Scope, str | None], int] = {}
        self._declared: dict[tuple[str, Scope, str | None], int] = {}
        for limit in limits:
            kept = self._declared if limit.declared else self._set
            kept[limit.action, limit.scope, limit.name] = limit.most

    @property
    def actions(self) -> frozenset[str]:
        """The actions that have one, `agent.action`."""
        return frozenset(action for action, _, _ in (*self._set, *self._declared))

    def most(self, action: str, scope: Scope, name: str | None = None) -> int | None:
        """How many at once; None: no limit.

        What an admin set for that very org or node stands; else the lowest of what was declared
        and what is set for each of them.
        """
        own = None if name is None else self._set.get((action, scope, name))
        if own is not None:
            return own
        found = (self._declared.get((action, scope, name)), self._set.get((action, scope, None)))
        return min((most for most in found if most is not None), default=None)
