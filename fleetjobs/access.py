"""Access: who may do what, decided without a database.

A role says how far an account goes at all. Grants narrow that down: where an account has grants
that allow a verb, it may do only what one of them allows; what a grant denies, nothing allows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from fleetjobs.targets import Candidate, Target, matches

FLEET = "@fleet"  #: the org of what belongs to no org; shown as null


class Role(StrEnum):
    """What an account may do at most; each may do what those above it may."""

    VIEWER = "viewer"  # look
    OPERATOR = "operator"  # ask for actions, and end what was asked for
    EDITOR = "editor"  # keep schedules and templates
    ADMIN = "admin"  # look after its org: nodes, accounts, grants, tokens
    FLEET_ADMIN = "fleet-admin"  # look after all orgs, and the fleet itself

    def reaches(self, other: "Role") -> bool:
        """Whether it may do all that the other one may."""
        return _RANKS[self] >= _RANKS[other]


_RANKS = {role: rank for rank, role in enumerate(Role)}


class Verb(StrEnum):
    """What can be allowed and denied by itself."""

    RUN = "run"  # ask for the action; let what was held or lost go on
    CANCEL = "cancel"  # call it off, or set it aside
    VIEW_LOG = "view-log"  # read what its programs wrote
    MANAGE = "manage"  # keep schedules and templates of it


NEEDS: Mapping[Verb, Role] = {
    Verb.RUN: Role.OPERATOR,
    Verb.CANCEL: Role.OPERATOR,
    Verb.VIEW_LOG: Role.VIEWER,
    Verb.MANAGE: Role.EDITOR,
}  #: the least role that may do it at all


class Effect(StrEnum):
    """What a grant does."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One narrowing of what an account may do."""

    id: str
    effect: Effect
    verbs: frozenset[Verb]  # empty: all of them
    actions: tuple[str, ...]  # `agent.action`; * stands for any characters
    target: Target | None = None  # None: on every node

    @property
    def document(self) -> dict[str, Any]:
        """As it is kept, shown, and told of by the audit."""
        return {
            "id": self.id,
            "effect": self.effect,
            "verbs": sorted(self.verbs),
            "actions": list(self.actions),
            "target": msgspec.to_builtins(self.target),
        }

    def speaks_of(self, verb: Verb, action: str) -> bool:
        """Whether it is about this, on some node at least."""
        return (not self.verbs or verb in self.verbs) and any(
            fnmatchcase(action, pattern) for pattern in self.actions
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What one account may do."""

    account: str
    org: str
    role: Role
    is_disabled: bool = False
    grants: tuple[Grant, ...] = ()

    def asks_nodes(self, verb: Verb, action: str) -> bool:
        """Whether it depends on the node."""
        return any(
            grant.target is not None and grant.speaks_of(verb, action) for grant in self.grants
        )

    def acts_in(self, org: str) -> bool:
        """Whether it may act in that org at all."""
        return org == self.org or self.role is Role.FLEET_ADMIN

    def refusal(
        self, verb: Verb, action: str, node: Candidate[str] | None = None, *, org: str | None = None
    ) -> str | None:
        """Why it may not do this to that action on that node; None: it may.

        `action` is `agent.action`. Without a node, what depends on the node is not decided: it
        counts as allowed. `org`: in which it acts; None: its own.
        """
        if self.is_disabled:
            return f"the account {self.account} is disabled"
        if org is not None and not self.acts_in(org):
            return f"{self.account} has no account in {org}"
        least = NEEDS[verb]
        if not self.role.reaches(least):
            return f"{self.account} is {a(self.role)}; {verb} takes {a(least)}"
        spoken = [grant for grant in self.grants if grant.speaks_of(verb, action)]
        for grant in spoken:
            if grant.effect is Effect.DENY and _holds(grant, node, unsure=False):
                return f"grant {grant.id} denies {self.account} to {verb} {_on(action, node)}"
        if self._is_narrowed(verb) and not any(
            grant.effect is Effect.ALLOW and _holds(grant, node, unsure=True) for grant in spoken
        ):
            return f"no grant allows {self.account} to {verb} {_on(action, node)}"
        return None

    def _is_narrowed(self, verb: Verb) -> bool:
        """Whether a grant allows this verb, so that nothing else is allowed."""
        return any(
            grant.effect is Effect.ALLOW and (not grant.verbs or verb in grant.verbs)
            for grant in self.grants
        )


def _holds(grant: Grant, node: Candidate[str] | None, *, unsure: bool) -> bool:
    """Whether the grant is about that node."""
    if grant.target is None:
        return True
    return unsure if node is None else matches(grant.target, node)


def _on(action: str, node: Candidate[str] | None) -> str:
    return action if node is None else f"{action} on {node.identity}"


def a(role: Role) -> str:
    """The role in a sentence."""
    return f"{'an' if role[0] in 'aeiou' else 'a'} {role.replace('-', ' ')}"
