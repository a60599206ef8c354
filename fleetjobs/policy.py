"""Policy: what a node allows. What no rule allows is denied.

The file is TOML. Rules are asked in order; the first that fits decides:

    [groups]
    operators = ["alice", "team-*"]

    [[rules]]
    effect = "allow"
    callers = ["@operators"]        # accounts; * stands for any characters; @ names a group
    agents = ["package"]
    actions = ["status", "update"]
    facts = ["os.family=Debian"]    # optional: all of them must hold on this node
    classes = ["web", "/^db/"]      # optional: the node must have all of them
    signers = ["account:*"]         # optional: whose keys count; "server" signs for pages and curl
"""

import tomllib
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from fleetjobs.compounds import read_name
from fleetjobs.errors import Denied, InvalidPolicy, InvalidTarget
from fleetjobs.facts import Condition, read_condition

LONGEST = 1024 * 1024  #: characters of a policy file

Glob = Annotated[str, Meta(pattern=r"\A[^\x00-\x20?\[\]]{1,200}\Z")]
Globs = Annotated[tuple[Glob, ...], Meta(min_length=1)]


class _Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of `[[rules]]`. Who and what have no default: meaning everyone is said aloud."""

    effect: Literal["allow", "deny"]
    callers: Globs
    agents: Globs
    actions: Globs
    signers: Globs = ("*",)
    facts: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy file."""

    groups: dict[str, tuple[Glob, ...]] = {}
    rules: tuple[_Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; the first that fits decides."""

    number: int  # 1 is the first of the file
    allows: bool
    callers: tuple[str, ...]  # groups resolved
    signers: tuple[str, ...]
    agents: tuple[str, ...]
    actions: tuple[str, ...]
    facts: tuple[Condition, ...]
    classes: tuple[Callable[[AbstractSet[str]], bool], ...]

    def fits(self, *, caller: str, signer: str, agent: str, action: str) -> bool:
        """Whether it speaks of this caller, key, agent and action."""
        return (
            _fits(agent, self.agents)
            and _fits(action, self.actions)
            and _fits(caller, self.callers)
            and _fits(signer, self.signers)
        )

    def holds(self, facts: Mapping[str, Any], classes: AbstractSet[str]) -> bool:
        """Whether it speaks of a node with these facts and classes."""
        return all(condition.holds(facts) for condition in self.facts) and all(
            has(classes) for has in self.classes
        )


def _fits(text: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(text, glob) for glob in globs)


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one node, in order."""

    rules: tuple[Rule, ...]
    fault: str = ""  # why there are none: the file is not to be trusted

    def check(
        self,
        *,
        caller: str,
        signer: str,
        agent: str,
        action: str,
        facts: Mapping[str, Any],
        classes: AbstractSet[str],
    ) -> None:
        """Let what is allowed pass; `signer` is the id of the key that signed the request.

        Raises Denied naming the rule, or saying that none allows it, or why there are none.
        """
        if self.fault:
            raise Denied(f"the node denies everything: its policy cannot be used: {self.fault}")
        for rule in self.rules:
            if not rule.fits(caller=caller, signer=signer, agent=agent, action=action):
                continue
            if not rule.holds(facts, classes):
                continue
            if rule.allows:
                return
            raise Denied(f"rule {rule.number} of the node's policy denies {agent}.{action}")
        raise Denied(
            f"no rule of the node's policy allows {caller[:128]!r}, signed by {signer[:136]!r},"
            f" to do {agent}.{action}"
        )


FAULT_MOST = 300  #: characters of what is wrong with a policy that callers are told


def deny_all(fault: str) -> Policy:
    """The policy of a node whose file cannot be used; whoever asks is told of the fault."""
    return Policy((), fault[:FAULT_MOST] or "it cannot be read")


def read_policy(text: str) -> Policy:
    """The policy in a TOML text. Raises InvalidPolicy naming the place."""
    if len(text) > LONGEST:
        raise InvalidPolicy(f"a policy of {len(text)} characters; {LONGEST} are allowed")
    try:
        file = msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise InvalidPolicy(str(error)) from None
    rules = tuple(_read_rule(file, number) for number in range(1, len(file.rules) + 1))
    _check_contradictions(file.rules)
    return Policy(rules)


def _read_rule(file: _File, number: int) -> Rule:
    declared = file.rules[number - 1]
    try:
        return Rule(
            number=number,
            allows=declared.effect == "allow",
            callers=_resolve(declared.callers, file.groups),
            signers=declared.signers,
            agents=declared.agents,
            actions=declared.actions,
            facts=tuple(read_condition(text) for text in declared.facts),
            classes=tuple(read_name(text) for text in declared.classes),
        )
    except (InvalidTarget, InvalidPolicy) as error:
        raise InvalidPolicy(f"rule {number}: {error}") from None


def _resolve(callers: tuple[str, ...], groups: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The callers, with the members of a group in place of its @name."""
    resolved: list[str] = []
    if any(member.startswith("@") for members in groups.values() for member in members):
        raise InvalidPolicy("a group cannot hold another group")
    for caller in callers:
        if not caller.startswith("@"):
            resolved.append(caller)
        elif caller[1:] in groups:
            resolved.extend(groups[caller[1:]])
        else:
            raise InvalidPolicy(f"there is no group {caller[1:]!r}")
    return tuple(resolved)


def _check_contradictions(rules: tuple[_Rule, ...]) -> None:
    """Two rules for the same, of opposite effect: neither can be trusted."""
    seen: dict[tuple[frozenset[str], ...], tuple[int, str]] = {}
    for number, rule in enumerate(rules, start=1):
        parts = (rule.callers, rule.signers, rule.agents, rule.actions, rule.facts, rule.classes)
        about = tuple(frozenset(part) for part in parts)
        earlier, effect = seen.setdefault(about, (number, rule.effect))
        if effect != rule.effect:
            raise InvalidPolicy(f"rules {earlier} and {number} contradict each other")
