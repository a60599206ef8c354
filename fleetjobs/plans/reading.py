"""Reading: a plan as people write it, in YAML, with parameters.

A text that begins with a brace is the document of a plan itself, as programs exchange it: there
every leg says what it needs.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import msgspec

from fleetjobs.errors import InvalidInput, InvalidPlan, InvalidTarget, Refused
from fleetjobs.inputs import Input, InputType
from fleetjobs.plans.complaints import complaint
from fleetjobs.plans.documents import Plan
from fleetjobs.plans.entries import Entries, plain_target
from fleetjobs.plans.markup import Marked, Path, read_markup
from fleetjobs.plans.parameters import complete, names_in, put_in, read_parameters, read_secrets
from fleetjobs.plans.shapes import arrange
from fleetjobs.targets import Target, check_target

_FIELDS = ("name", "on_failure", "max_failures", "priority", "rollback_attempts")
_WORDS = ("description", "params", "target", "legs", *_FIELDS)
_SINGLE = ("action", "data", "retries", "priority")  #: of a plan that is nothing but an action
_GROUPS = "groups"  #: that documents have in a list of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPlan:
    """A plan as it was written: its parameters are open."""

    name: str
    description: str
    parameters: dict[str, Input]
    secrets: frozenset[str]  # parameters whose values are never shown
    is_document: bool  # in the form of programs
    is_single: bool  # nothing but an action, without legs
    _marked: Marked

    def fill(self, given: Mapping[str, Any]) -> Plan:
        """The plan with these parameters, and the defaults of the others; checked and laid out.

        Raises MissingInput or InvalidInput for a parameter, InvalidPlan naming line and leg.
        """
        return self._with(complete(self.parameters, given))

    def masked(self, given: Mapping[str, Any]) -> Plan:
        """The same with something else in the place of each secret. Raises as `fill` does."""
        values = complete(self.parameters, given)
        hidden = {name: f"***{name}" for name in self.secrets if values[name] is not None}
        return self._with(values | hidden)

    def check(self) -> None:
        """Let a plan pass that fits together, whatever its parameters are. Raises InvalidPlan.

        Where an open one stands outside the data of legs, only its value can tell.
        """
        open_ = {name for name, taken in self.parameters.items() if taken.default is None}
        if open_ & set(_named_outside_data(self._marked.value, ())):
            return
        self._tried(open_)

    def actions(self) -> set[str]:
        """What it does, as `agent.action`, as far as that is known before its parameters are."""
        open_ = {name for name, taken in self.parameters.items() if taken.default is None}
        try:
            return {f"{leg.agent}.{leg.action}" for leg in self._tried(open_).legs}
        except Refused:  # only what its parameters are will tell
            return set()

    def _tried(self, open_: AbstractSet[str]) -> Plan:
        """The plan with something in the place of these parameters."""
        stand_ins = {name: STAND_INS.get(self.parameters[name].type, "x") for name in open_}
        given = {name: taken.default for name, taken in self.parameters.items()}
        return self._with(given | stand_ins)

    def _with(self, values: Mapping[str, Any]) -> Plan:
        document = self._filled(self._marked.value, (), values)
        writing = _Writing(self._marked)
        if self.is_single:
            return writing.single(document)
        return writing.document(document) if self.is_document else writing.plan(document)

    def _filled(self, value: Any, path: Path, values: Mapping[str, Any]) -> Any:
        if path == ("params",):
            return value
        if isinstance(value, dict):
            return {
                name: self._filled(inner, (*path, name), values) for name, inner in value.items()
            }
        if isinstance(value, list):
            return [self._filled(inner, (*path, at), values) for at, inner in enumerate(value)]
        try:
            return put_in(value, values, self.parameters)
        except InvalidInput as error:
            raise InvalidPlan(f"{self._marked.at(*path)}: {error}") from None


#: in the place of values that nobody has given yet
STAND_INS: Mapping[InputType, Any] = {
    InputType.BOOLEAN: True,
    InputType.INTEGER: 1,
    InputType.FLOAT: 1,
    InputType.NUMBER: 1,
    InputType.HASH: {},
    InputType.ARRAY: [],
}


def _named_outside_data(value: Any, path: Path) -> Iterator[str]:
    """The parameters that something else than data hangs on."""
    if path[:1] == ("params",) or "data" in path:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _named_outside_data(inner, (*path, name))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _named_outside_data(inner, (*path, at))
    elif isinstance(value, str):
        yield from names_in(value)


def read_plan(text: str, origin: str) -> WrittenPlan:
    """The plan in a text; `origin` is its file's name. Raises InvalidPlan naming the line."""
    marked = read_markup(text, origin)
    document = marked.value
    if not isinstance(document, dict) or not document.keys() & {"legs", "action"}:
        raise InvalidPlan(f"{marked.at()}: a plan has legs:, a list of them")
    is_single = "legs" not in document
    is_document = text.lstrip().startswith("{") and not is_single
    words: tuple[str, ...] = (*_WORDS, _GROUPS) if is_document else _WORDS
    if is_single:
        words = ("name", "description", "params", "target", *_SINGLE)
    unknown = [name for name in document if name not in words]
    if unknown:
        raise InvalidPlan(
            f"{marked.at(unknown[0])}: a plan has no {unknown[0][:70]!r};"
            f" there are {', '.join(words)}"
        )
    for name in ("name", "description"):
        if not isinstance(document.get(name, ""), str):
            raise InvalidPlan(f"{marked.at(name)}: {name} is a text")
    declared = document.get("params") or {}
    return WrittenPlan(
        name=str(document.get("name", "plan")),
        description=str(document.get("description", "")),
        parameters=read_parameters(declared, lambda *path: marked.at("params", *path)),
        secrets=read_secrets(declared, lambda *path: marked.at("params", *path)),
        is_document=is_document,
        is_single=is_single,
        _marked=marked,
    )


@dataclass(frozen=True, slots=True)
class _Writing:
    """Makes a plan of a document whose parameters are filled in."""

    marked: Marked

    def plan(self, document: Mapping[str, Any]) -> Plan:
        """Raises InvalidPlan."""
        entries = Entries(at=lambda path: self.marked.at(*path))
        entries.read(document["legs"], ("legs",))
        fields = {name: document[name] for name in _FIELDS if document.get(name) is not None}
        if "max_failures" in fields:
            fields["max_failures"] = str(fields["max_failures"])
        head = self._head(fields, document.get("target"))
        plan = msgspec.structs.replace(head, legs=tuple(entries.legs), groups=tuple(entries.groups))
        return self._checked(plan, entries.places)

    def single(self, document: Mapping[str, Any]) -> Plan:
        """The plan whose one leg is the action that stands there alone."""
        entries = Entries(at=lambda path: self.marked.at(*path[1:]))
        words = {name: document[name] for name in _SINGLE if document.get(name) is not None}
        entries.read([words], ())
        fields = {name: document[name] for name in ("name",) if document.get(name) is not None}
        head = self._head(fields, document.get("target"))
        return self._checked(msgspec.structs.replace(head, legs=tuple(entries.legs)), {})

    def document(self, document: Mapping[str, Any]) -> Plan:
        """The same of what programs wrote."""
        fields = {
            name: value for name, value in document.items() if name not in ("params", "description")
        }
        try:
            plan = msgspec.convert(fields, Plan)
        except msgspec.ValidationError as error:
            raise InvalidPlan(f"{self.marked.origin}: {error}") from None
        places: dict[str, Path] = {
            group.key: ("groups", at) for at, group in enumerate(plan.groups)
        }
        places |= {leg.key: ("legs", at) for at, leg in enumerate(plan.legs)}
        return self._checked(plan, places)

    def _checked(self, plan: Plan, places: Mapping[str, Path]) -> Plan:
        try:
            arrange(plan)
        except InvalidPlan as error:
            raise InvalidPlan(f"{self._place(str(error), places)}: {error}") from None
        for leg in plan.legs:
            self._check_target(leg.target, (*places.get(leg.key, ()), "target"), f"{leg.key}: ")
        return plan

    def _head(self, fields: Mapping[str, Any], target: Any) -> Plan:
        """The plan without its legs."""
        for name, value in fields.items():
            self._convert({name: value}, (name,))
        if target is not None:
            written = plain_target(target) if isinstance(target, dict) else target
            self._convert({"target": written}, ("target",))
            self._check_target(msgspec.convert(written, Target), ("target",))
            fields = {**fields, "target": written}
        return self._convert(fields, ())

    def _convert(self, fields: Mapping[str, Any], path: Path) -> Plan:
        nobody = [{"key": "a", "agent": "a", "action": "a"}]  # a plan has one leg at least
        try:
            return msgspec.convert({**fields, "legs": nobody}, Plan)
        except msgspec.ValidationError as error:
            steps, text = complaint(error)
            name = f"{'.'.join(steps)} " if steps else ""
            raise InvalidPlan(f"{self.marked.at(*path)}: {name}{text}") from None

    def _check_target(self, target: Target | None, path: Path, what: str = "") -> None:
        try:
            if target is not None:
                check_target(target)
        except InvalidTarget as error:
            raise InvalidPlan(f"{self.marked.at(*path)}: {what}{error}") from None

    def _place(self, text: str, places: Mapping[str, Path]) -> str:
        """Where the leg stands that a sentence is about."""
        words = (word.strip(":,;") for word in text.split())
        key = next((word for word in words if word in places), None)
        return self.marked.at(*places[key]) if key else self.marked.at("legs")
