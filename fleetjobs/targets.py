"""Targets: expressions that pick nodes."""

import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from fleetjobs.compounds import Test, read_compound, read_name
from fleetjobs.errors import InvalidInput, InvalidTarget, NoNodes
from fleetjobs.facts import Condition, read_condition
from fleetjobs.values import check_value

MOST_IDENTITIES = 100_000  #: names in one target
MOST_EXPRESSIONS = 100  #: patterns on identities, conditions, classes or agents in one target
METHODS = ("first", "random")
BUILTIN = "@"  #: nodes of the fleet's own begin so; they are meant only where they are named

NAME = re.compile(r"\A[A-Za-z0-9@][A-Za-z0-9._-]{0,127}\Z")  #: what a node can be called
_AGENT = re.compile(r"\A[a-z0-9_]{1,64}\Z")
_LIMIT = re.compile(r"\A(?:([1-9][0-9]{0,8})|([1-9][0-9]?|100)%)\Z")


class Target(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which nodes are meant; all parts must hold. An empty target means every node of the org."""

    identities: tuple[str, ...] = ()  # names, or /regex/; any of them
    facts: tuple[str, ...] = ()  # fact=value and the other comparisons; all of them
    classes: tuple[str, ...] = ()  # names, or /regex/; all of them
    agents: tuple[str, ...] = ()  # names; all of them
    compound: str | None = None  # and or not ( ) over facts and classes
    org: str | None = None  # only for callers who may act in more than one
    limit: str | None = None  # "5" or "10%"; None: no limit
    method: str = "first"  # how a limit picks: first (by name) or random
    seed: int | None = None  # of the random pick


Name_co = TypeVar("Name_co", bound=str, covariant=True)
NameT = TypeVar("NameT", bound=str)


class Candidate(Protocol[Name_co]):
    """What a target asks of a node; `nodes.Node` has it."""

    @property
    def identity(self) -> Name_co:
        """Its name."""

    @property
    def org(self) -> str:
        """Whose it is."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What it says of itself."""

    @property
    def classes(self) -> AbstractSet[str]:
        """What it is there for."""

    @property
    def agents(self) -> Mapping[str, str]:
        """What it can do, with versions."""


def make_target(
    *,
    identities: Iterable[str] = (),
    facts: Iterable[str] = (),
    classes: Iterable[str] = (),
    agents: Iterable[str] = (),
    compound: str | None = None,
    org: str | None = None,
    limit: str | int | None = None,
    method: str = "first",
    seed: int | None = None,
) -> Target:
    """A target that was checked, without repetitions. Raises InvalidTarget."""
    target = Target(
        identities=tuple(dict.fromkeys(identities)),
        facts=tuple(dict.fromkeys(facts)),
        classes=tuple(dict.fromkeys(classes)),
        agents=tuple(dict.fromkeys(agents)),
        compound=compound,
        org=org,
        limit=None if limit is None else str(limit),
        method=method,
        seed=seed,
    )
    _Reading.of(target)
    return target


def check_target(target: Target) -> None:
    """Let a target pass that can be read. Raises InvalidTarget."""
    _Reading.of(target)


def matches(target: Target, node: Candidate[str]) -> bool:
    """Whether the target means this node; its limit aside. Raises InvalidTarget."""
    return _Reading.of(target).means(node)


def pick(target: Target, nodes: Iterable[Candidate[NameT]]) -> list[NameT]:
    """The identities it means, by name, its limit applied.

    Raises InvalidTarget; NoNodes if it means none, or names one that is not among the nodes.
    """
    reading = _Reading.of(target)
    known = {
        node.identity: node
        for node in nodes
        if not node.identity.startswith(BUILTIN) or node.identity in reading.names
    }
    if unknown := sorted(reading.names - known.keys()):
        raise NoNodes(_unknown(unknown, known))
    meant = sorted(name for name, node in known.items() if reading.means(node))
    if not meant:
        raise NoNodes(f"the target picks none of {len(known)} nodes")
    return _limited(target, meant)


def _unknown(names: list[str], known: Iterable[str]) -> str:
    """Which nodes do not exist; and which does, if only the case of its letters is another."""
    folded = {name.casefold(): name for name in known}
    shown = [
        f"{name} (but {folded[name.casefold()]} is)" if name.casefold() in folded else name
        for name in names[:5]
    ]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""  # noqa: PLR2004  as shown
    return f"no such node: {', '.join(shown)}{more}"


def _limited(target: Target, names: list[NameT]) -> list[NameT]:
    if target.limit is None:
        return names
    share = target.limit.removesuffix("%")
    wanted = int(share) if share == target.limit else max(1, len(names) * int(share) // 100)
    if wanted >= len(names):
        return names
    if target.method == "random":
        import random  # late: no caller's side needs it

        return sorted(random.Random(target.seed).sample(names, wanted))  # noqa: S311  a lot, no key
    return names[:wanted]


class _Reading(Struct, frozen=True, kw_only=True):
    """A target, read once to be asked of many nodes."""

    names: frozenset[str]
    identities: tuple[Callable[[AbstractSet[str]], bool], ...]
    conditions: tuple[Condition, ...]
    classes: tuple[Callable[[AbstractSet[str]], bool], ...]
    agents: frozenset[str]
    compound: Test | None
    org: str | None

    @classmethod
    def of(cls, target: Target) -> "_Reading":
        """Raises InvalidTarget."""
        _check_texts(target)
        _check_limit(target)
        slashed = [text for text in target.identities if text.startswith("/")]
        names = frozenset(target.identities) - frozenset(slashed)
        _check_names(names, NAME, MOST_IDENTITIES, "a node")
        _check_names(target.agents, _AGENT, MOST_EXPRESSIONS, "an agent")
        for texts in (slashed, target.facts, target.classes):
            if len(texts) > MOST_EXPRESSIONS:
                raise InvalidTarget(
                    f"{len(texts)} expressions of one kind; {MOST_EXPRESSIONS} are allowed"
                )
        return cls(
            names=names,
            identities=tuple(_read_slashed(text) for text in slashed),
            conditions=tuple(read_condition(text) for text in target.facts),
            classes=tuple(read_name(text) for text in target.classes),
            agents=frozenset(target.agents),
            compound=None if target.compound is None else read_compound(target.compound),
            org=target.org,
        )

    def means(self, node: Candidate[str]) -> bool:
        """Whether all parts hold for the node."""
        return (
            (self.org is None or self.org == node.org)
            and self._is_named(node.identity)
            and self.agents <= node.agents.keys()
            and all(has(node.classes) for has in self.classes)
            and all(condition.holds(node.facts) for condition in self.conditions)
            and (self.compound is None or self.compound(node.facts, node.classes))
        )

    def _is_named(self, identity: str) -> bool:
        if not self.names and not self.identities:
            return True
        return identity in self.names or any(has({identity}) for has in self.identities)


def _check_texts(target: Target) -> None:
    """Nothing that could not be kept or sent on, such as NUL or half a character."""
    for part in (target.facts, target.classes, target.compound, target.org, target.seed):
        try:
            check_value(part, "the target")
        except InvalidInput as error:
            raise InvalidTarget(str(error)) from None


def _check_limit(target: Target) -> None:
    if target.limit is not None and not _LIMIT.match(target.limit):
        raise InvalidTarget(f"{target.limit[:60]!r} is no limit: a number from 1, or 1% to 100%")
    if target.method not in METHODS:
        raise InvalidTarget(f"{target.method[:60]!r} is no way to pick: {' or '.join(METHODS)}")


def _check_names(names: Iterable[str], form: re.Pattern[str], most: int, what: str) -> None:
    count = 0
    for name in names:
        count += 1
        if not form.match(name):
            raise InvalidTarget(f"{name[:60]!r} cannot be the name of {what}")
    if count > most:
        raise InvalidTarget(f"{count} names; {most} are allowed")


def _read_slashed(text: str) -> Callable[[AbstractSet[str]], bool]:
    if not text.endswith("/"):
        raise InvalidTarget(f"{text[:60]!r} begins as a pattern and does not end as one")
    return read_name(text)
