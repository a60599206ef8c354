"""Shape: a plan that was checked and laid out, each leg after all that it needs."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from itertools import chain
from uuid import UUID, uuid5

from fleetjobs.errors import InvalidPlan, InvalidReference
from fleetjobs.names import JobId
from fleetjobs.plans.documents import LEGS_MOST, Group, Leg, Need, Plan, RetryMode
from fleetjobs.plans.graph import Graph
from fleetjobs.plans.references import Reference, find_references
from fleetjobs.rollouts import check_rollout
from fleetjobs.shares import check_share

NEEDS_MOST = 100_000  #: of all legs, those of their groups included; more are a group's affair
DEEPEST = 32  #: groups in one another


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A leg at its place in the plan."""

    leg: Leg
    groups: tuple[str, ...]  # that it is in, the innermost first
    needs: tuple[Need, ...]  # its own and those of its groups, each once
    references: tuple[Reference, ...]  # in its data


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A plan as it will be carried out."""

    plan: Plan
    legs: tuple[Placed, ...]  # each after all that it needs; as written where it is free
    groups: tuple[Group, ...]  # each after the one it is in
    members: dict[str, tuple[str, ...]]  # legs and groups directly in each group, as written
    _graph: Graph = field(repr=False)

    def following(self, key: str) -> list[str]:
        """Every leg that this one comes before, as written."""
        return self._graph.following(key)

    def preceding(self, key: str) -> list[str]:
        """Every leg that comes before this one, as written."""
        return self._graph.preceding(key)


@lru_cache(maxsize=4096)  # each is asked for several times while a plan is drawn up
def leg_id(plan: str, key: str) -> JobId:
    """The id of a leg or a group: the same whenever the same plan is handed in."""
    return JobId(str(uuid5(UUID(plan), key)))


def arrange(plan: Plan) -> Shape:
    """The plan, checked and laid out. Raises InvalidPlan naming the leg and what is wrong."""
    _check_keys(plan)
    groups = _groups(plan)
    _check_needs(plan, groups)
    graph = Graph(plan)
    order = graph.order()
    placed = {leg.key: _place(leg, groups) for leg in plan.legs}
    _check_before(plan, placed.values(), graph, order)
    return Shape(
        plan=plan,
        legs=tuple(placed[graph.key(vertex)] for vertex in order if graph.is_leg(vertex)),
        groups=tuple(sorted(plan.groups, key=lambda one: len(_around(one.group, groups, one.key)))),
        members=_members(plan),
        _graph=graph,
    )


def _check_keys(plan: Plan) -> None:
    if len(plan.legs) + len(plan.groups) > LEGS_MOST:
        raise InvalidPlan(
            f"{len(plan.legs)} legs and {len(plan.groups)} groups are too many;"
            f" a plan has {LEGS_MOST} at most"
        )
    if not plan.legs:
        raise InvalidPlan("the plan has no legs")
    seen: set[str] = set()
    for part in (*plan.groups, *plan.legs):
        if part.key in seen:
            raise InvalidPlan(f"the key {part.key} is there twice; each leg and group has its own")
        seen.add(part.key)
    check_share(plan.max_failures, "max_failures of the plan")


def _groups(plan: Plan) -> dict[str, Group]:
    """The groups by key; each has a leg, and all they name exist."""
    groups = {group.key: group for group in plan.groups}
    filled: set[str] = set()
    for part in (*plan.groups, *plan.legs):
        if part.group is not None and part.group not in groups:
            legs = {leg.key for leg in plan.legs}
            why = " is a leg" if part.group in legs else _near(part.group, groups)
            raise InvalidPlan(f"{part.key} is to be in a group {part.group!r}, which{why}")
    for leg in plan.legs:
        filled.update(_around(leg.group, groups, leg.key))
    for group in plan.groups:
        _around(group.group, groups, group.key)
        if group.key not in filled:
            raise InvalidPlan(f"no leg is in the group {group.key}")
        check_share(group.max_failures, f"max_failures of {group.key}")
    return groups


def _around(group: str | None, groups: dict[str, Group], key: str) -> tuple[str, ...]:
    """The groups around a leg or a group, the innermost first."""
    found: list[str] = []
    while group is not None:
        if group in found:
            circle = " in ".join([*found[found.index(group) :], group])
            raise InvalidPlan(f"the group {group} is inside itself: {circle}")
        if len(found) == DEEPEST:
            raise InvalidPlan(f"{key} is in more than {DEEPEST} groups in one another")
        found.append(group)
        group = groups[group].group
    return tuple(found)


def _check_needs(plan: Plan, groups: dict[str, Group]) -> None:
    known = {part.key for part in (*plan.groups, *plan.legs)}
    total = 0
    for part in (*plan.groups, *plan.legs):
        inside = _around(part.group, groups, part.key)
        total += len(part.needs)
        total += sum(len(groups[key].needs) for key in inside) if isinstance(part, Leg) else 0
        seen: set[str] = set()
        for need in part.needs:
            if need.leg not in known:
                raise InvalidPlan(
                    f"{part.key} needs {need.leg!r}, which{_near(need.leg, known - {part.key})}"
                )
            if need.leg == part.key:
                raise InvalidPlan(f"{part.key} needs itself")
            if need.leg in inside:
                raise InvalidPlan(f"{part.key} needs {need.leg}, the group it is in")
            if need.leg in seen:
                raise InvalidPlan(f"{part.key} needs {need.leg} twice")
            seen.add(need.leg)
    if total > NEEDS_MOST:
        raise InvalidPlan(
            f"the legs have {total} needs in all, {NEEDS_MOST} are allowed;"
            " put legs that others wait for into a group, and let them need that"
        )


def _near(key: str, known: Iterable[str]) -> str:
    """The end of a sentence about a key that does not exist."""
    names = sorted(known)
    close = get_close_matches(key, names, n=3, cutoff=0.6)
    if close:
        return f" does not exist; did you mean {' or '.join(close)}?"
    few = 8
    more = f" and {len(names) - few} more" if len(names) > few else ""
    there = f"there are {', '.join(names[:few])}{more}" if names else "there is none"
    return f" does not exist; {there}"


def _place(leg: Leg, groups: dict[str, Group]) -> Placed:
    inside = _around(leg.group, groups, leg.key)
    needs: dict[str, Need] = {}
    for need in (*leg.needs, *chain.from_iterable(groups[key].needs for key in inside)):
        if needs.setdefault(need.leg, need) != need:
            raise InvalidPlan(
                f"{leg.key} needs {need.leg} in one way, and a group it is in needs it in another"
            )
    _check_leg(leg)
    try:
        references = find_references(leg.data)
    except InvalidReference as error:
        raise InvalidPlan(f"{leg.key}: {error}") from None
    return Placed(leg=leg, groups=inside, needs=tuple(needs.values()), references=references)


def _check_leg(leg: Leg) -> None:
    check_share(leg.max_failures, f"max_failures of {leg.key}")
    if leg.rollout is not None:
        check_rollout(leg.rollout, f" of {leg.key}")
    if leg.not_before and leg.start_before and leg.start_before <= leg.not_before:
        raise InvalidPlan(f"{leg.key} is to start before {leg.start_before} and not until then")
    if (leg.retry_mode == RetryMode.ROLLBACK_TO) != bool(leg.rollback_to):
        raise InvalidPlan(
            f"{leg.key}: retry_mode rollback_to and the keys in rollback_to belong together"
        )


def _check_before(plan: Plan, placed: Iterable[Placed], graph: Graph, order: Iterable[int]) -> None:
    """What a leg refers to, or rolls back to, has to come before it."""
    legs = {leg.key for leg in plan.legs}
    asked: dict[str, set[str]] = {}
    for item in placed:
        named = {f"{one}": one.leg for one in item.references}
        named |= {f"rollback_to {key}": key for key in item.leg.rollback_to}
        for text, key in named.items():
            if key not in legs:
                raise InvalidPlan(
                    f"{item.leg.key}: {text} names {key!r}, a leg that{_near(key, legs)}"
                )
        if named:
            asked[item.leg.key] = set(named.values())
    unmet = graph.known_before(list(order), asked) if asked else None
    if unmet is not None:
        leg, wanted = unmet
        why = "is itself" if leg == wanted else "does not come before it: name it in its needs"
        raise InvalidPlan(f"{leg} refers to {wanted}, which {why}")


def _members(plan: Plan) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {group.key: [] for group in plan.groups}
    for part in (*plan.groups, *plan.legs):
        if part.group is not None:
            found[part.group].append(part.key)
    return {key: tuple(inside) for key, inside in found.items()}
