"""Canvas: Celery's signatures, in the form of JSON that Celery itself keeps them in, as a plan.

A chain's tasks need one another, each node at its own pace; a group's do not; what follows a
group waits for all of it. Nothing is prepended to anybody's arguments: inputs have names, and
`${legs.KEY.data.path}` says where one comes from. See `options` for what else they carry.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from fleetjobs.errors import InvalidPlan
from fleetjobs.plans.documents import LEGS_MOST, Group, Leg, Need, Pace, Plan
from fleetjobs.plans.options import GROUP_WORDS, LEG_WORDS, PACE, check_rest, given, take, times
from fleetjobs.plans.signatures import (
    ERROR,
    LINK,
    check_form,
    errors_of,
    holds_anything,
    parts,
    several,
    with_errors,
)
from fleetjobs.states import StartIf

DEEPEST = 150  #: canvases in one another
TOO_DEEP = f"more than {DEEPEST} canvases are in one another"
_FOR_TASKS = (
    "countdown",
    "eta",
    "expires",
    "retries",
    "priority",
)  #: what a canvas hands on to its tasks
_FOR_HEADERS = ("countdown", "eta")  #: what a chord hands on to its header alone

Json: TypeAlias = Mapping[str, Any]
Needs: TypeAlias = tuple[Need, ...]


def read_canvas(canvas: Any, *, now: datetime, **fields: Any) -> Plan:
    """The canvas as a plan; `fields` are the plan's other ones, such as `on_failure`.

    Raises InvalidPlan naming the task and what cannot be honoured.
    """
    reading = _Reading(now=now)
    try:
        reading.read(canvas, _Place())
    except RecursionError:
        raise InvalidPlan(TOO_DEEP) from None
    if not reading.legs:
        raise InvalidPlan("there is no task in the canvas")
    return Plan(legs=tuple(reading.legs), groups=tuple(reading.groups), **fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a part of a canvas stands in the plan."""

    needs: Needs = ()
    group: str | None = None
    is_first: bool = True  # nothing comes before it, nor before the groups it is in
    depth: int = 0
    passed: Json = field(default_factory=dict)  # options that what it is in hands on

    def behind(self, needs: Needs, passed: Json | None = None) -> "_Place":
        """The same place, after those."""
        is_first = self.is_first and not needs
        return replace(self, needs=needs, is_first=is_first, passed=passed or {})

    def inside(self, group: str, passed: Json) -> "_Place":
        """In a group that stands there."""
        return replace(self, needs=(), group=group, passed=passed)


@dataclass(slots=True, kw_only=True)
class _Reading:
    """Reads one canvas; what it returns is what the next part has to need."""

    now: datetime
    legs: list[Leg] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)  # the last number that a name was given

    def read(self, canvas: Any, place: _Place) -> Needs:
        """Any signature."""
        if place.depth > DEEPEST:
            raise InvalidPlan(TOO_DEEP)
        name = check_form(canvas)
        options = {**given(canvas.get("options") or {}, name), **place.passed}
        place = replace(place, depth=place.depth + 1, passed={})
        kind = canvas.get("subtask_type")
        if kind is None:
            return self._task(canvas, options, place)
        read: Callable[[Json, dict[str, Any], _Place], Needs] = {
            "chain": self._chain,
            "group": self._group,
            "chord": self._chord,
        }[kind]
        if canvas.get("args"):
            raise InvalidPlan(f"a {kind} has positional arguments; inputs are given by name")
        return read(canvas.get("kwargs") or {}, options, place)

    def _task(self, canvas: Json, options: dict[str, Any], place: _Place) -> Needs:
        name = canvas["task"]
        agent, dot, action = name.partition(".")
        if not dot or agent == "celery":
            raise InvalidPlan(f"{name[:140]}: no action; a task is called agent.action")
        if canvas.get("args"):
            raise InvalidPlan(
                f"{name}: positional arguments cannot be honoured; inputs are given by name:"
                f" {action}.s(name=value)"
            )
        links, errors = several(options.pop(LINK, None)), several(options.pop(ERROR, None))
        words = take(options, LEG_WORDS)
        needs = _paced(place.needs, options.pop(PACE, None), name)
        fields = {
            **times(options, name, now=self.now, is_first=place.is_first),
            **words,
            "key": self._key(str(words.get("key", "")), action),
        }
        check_rest(options, name)
        leg = _leg(
            name,
            fields,
            {
                "agent": agent,
                "action": action,
                "data": canvas.get("kwargs") or {},
                "needs": needs,
                "group": place.group,
            },
        )
        self._add(leg)
        self._call_back(errors, leg.key, StartIf.FAILED, place)
        self._call_back(links, leg.key, StartIf.SUCCEEDED, place)
        return (Need(leg=leg.key),)

    def _chain(self, inside: Json, options: dict[str, Any], place: _Place) -> Needs:
        links, errors = several(options.pop(LINK, None)), several(options.pop(ERROR, None))
        passed = take(options, _FOR_TASKS)
        check_rest(options, "a chain")
        group = self._open("chain", place) if errors else None
        place = place.inside(group, passed) if group else replace(place, passed=passed)
        needs, before = place.needs, len(self.legs)
        for part in parts(inside.get("tasks"), "a chain"):
            needs = self.read(part, place.behind(needs, passed))
            if len(self.legs) > before:  # an empty group took nothing
                passed = {name: value for name, value in passed.items() if name == "priority"}
        self._close(group, errors, place)
        for need in needs if links else ():
            self._call_back(links, need.leg, StartIf.SUCCEEDED, place)
        return needs

    def _group(self, inside: Json, options: dict[str, Any], place: _Place) -> Needs:
        passed, words = take(options, _FOR_TASKS), take(options, GROUP_WORDS)
        errors = several(options.pop(ERROR, None))
        if options.get(LINK):
            raise InvalidPlan("a group: the option link cannot be honoured: use a chord")
        check_rest(options, "a group")
        tasks = [with_errors(part, errors) for part in parts(inside.get("tasks"), "a group")]
        if not tasks:
            return place.needs  # as in Celery: nothing to wait for
        if len(tasks) == 1 and not words:
            return self.read(tasks[0], replace(place, passed=passed))
        return self._header(tasks, "group", words, passed, place)

    def _chord(self, inside: Json, options: dict[str, Any], place: _Place) -> Needs:
        body = inside.get("body")
        if body is None:
            raise InvalidPlan("a chord has no body")
        if holds_anything(inside.get("kwargs")):
            raise InvalidPlan("a chord has arguments for its header; give them to its tasks")
        links, errors = several(options.pop(LINK, None)), several(options.pop(ERROR, None))
        early, words = take(options, _FOR_HEADERS), take(options, GROUP_WORDS)
        passed = take(options, _FOR_TASKS)
        check_rest(options, "a chord")
        more, body = errors_of(body)
        errors = [*errors, *more]
        group = self._open("chord", place) if errors else None
        place = place.inside(group, {}) if group else place
        header = inside.get("header")
        if isinstance(header, Mapping):
            header = header.get("kwargs", {}).get("tasks")
        tasks, needs = parts(header, "a chord's header"), place.needs
        if tasks:
            needs = self._header(tasks, "header", words, {**early, **passed}, place)
        needs = self.read(body, place.behind(needs, passed))
        self._close(group, errors, place)
        for need in needs if links else ():
            self._call_back(links, need.leg, StartIf.SUCCEEDED, place)
        return needs

    def _header(
        self, tasks: Sequence[Any], name: str, words: Json, passed: Json, place: _Place
    ) -> Needs:
        key = self._open(name, place, words)
        inside = place.inside(key, passed)
        count = len(self.legs)
        for task in tasks:
            self.read(task, inside)
        if len(self.legs) == count:
            self.groups = [group for group in self.groups if group.key != key]
            return place.needs
        return (Need(leg=key, pace=Pace.BARRIER),)

    def _open(self, name: str, place: _Place, words: Json | None = None) -> str:
        """A group that stands there; its key."""
        words = dict(words or {})
        words["key"] = self._key(str(words.get("key", "")), name)
        if "max_failures" in words:
            words["max_failures"] = str(words["max_failures"])
        document = {**words, "needs": place.needs, "group": place.group}
        try:
            group = msgspec.convert(document, Group)
        except msgspec.ValidationError as error:
            raise InvalidPlan(f"{words['key'][:70]}: {error}") from None
        self.groups.append(group)
        return group.key

    def _close(self, group: str | None, errors: Sequence[Any], place: _Place) -> None:
        """What is to start when anything in the group has failed."""
        if group is not None:
            self._call_back(errors, group, StartIf.FAILED, place)

    def _call_back(self, canvases: Sequence[Any], key: str, when: StartIf, place: _Place) -> None:
        """Legs of their own, which belong to no group: nothing that follows waits for them."""
        if not canvases:
            return
        pace = Pace.BARRIER if any(group.key == key for group in self.groups) else Pace.NODE
        need = Need(leg=key, when=when, pace=pace)
        for canvas in canvases:
            self.read(canvas, _Place(needs=(need,), is_first=False, depth=place.depth))

    def _add(self, leg: Leg) -> None:
        self.legs.append(leg)
        if len(self.legs) > LEGS_MOST:
            raise InvalidPlan(f"there are more than {LEGS_MOST} tasks in the canvas")

    def _key(self, wanted: str, name: str) -> str:
        """The key that was given, or else the name, numbered when it is there already."""
        key = wanted
        if not wanted:
            key, count = name, self.counts.get(name, 1)
            while key in self.keys:
                count += 1
                key = f"{name[:56]}_{count}"
            self.counts[name] = count
        self.keys.add(key)
        return key


def _leg(name: str, fields: Json, more: Json) -> Leg:
    """A leg of its fields, with types as documents have them. Raises InvalidPlan."""
    document = {**fields, **more}
    if "max_failures" in document:
        document["max_failures"] = str(document["max_failures"])
    try:
        return msgspec.convert(document, Leg)
    except msgspec.ValidationError as error:
        raise InvalidPlan(f"{name}: {error}") from None


def _paced(needs: Needs, pace: Any, name: str) -> Needs:
    if pace is None:
        return needs
    if pace not in frozenset(Pace):
        raise InvalidPlan(f"{name}: pace is {' or '.join(Pace)}, not {str(pace)[:70]!r}")
    return tuple(msgspec.structs.replace(need, pace=Pace(pace)) for need in needs)
