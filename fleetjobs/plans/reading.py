"""Reading: a plan as people write it, in YAML, with parameters.

A text that begins with a brace is the document of a plan itself, as programs exchange it: there
every leg says what it needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from fleetjobs.errors import InvalidInput, InvalidPlan, InvalidTarget
from fleetjobs.inputs import Input
from fleetjobs.plans.documents import Plan
from fleetjobs.plans.entries import Entries, plain_target
from fleetjobs.plans.markup import Marked, Path, read_markup
from fleetjobs.plans.parameters import complete, put_in, read_parameters
from fleetjobs.plans.shapes import arrange
from fleetjobs.targets import Target, check_target

_FIELDS = ("name", "on_failure", "max_failures", "rollback_attempts")
_WORDS = ("description", "params", "target", "legs", *_FIELDS)
_GROUPS = "groups"  #: that documents have in a list of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPlan:
    """A plan as it was written: its parameters are open."""

    name: str
    description: str
    parameters: dict[str, Input]
    is_document: bool  # in the form of programs
    _marked: Marked

    def fill(self, given: Mapping[str, Any]) -> Plan:
        """The plan with these parameters, and the defaults of the others; checked and laid out.

        Raises MissingInput or InvalidInput for a parameter, InvalidPlan naming line and leg.
        """
        values = complete(self.parameters, given)
        document = self._filled(self._marked.value, (), values)
        writing = _Writing(self._marked)
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


def read_plan(text: str, origin: str) -> WrittenPlan:
    """The plan in a text; `origin` is its file's name. Raises InvalidPlan naming the line."""
    marked = read_markup(text, origin)
    document = marked.value
    if not isinstance(document, dict) or "legs" not in document:
        raise InvalidPlan(f"{marked.at()}: a plan has legs:, a list of them")
    is_document = text.lstrip().startswith("{")
    words = (*_WORDS, _GROUPS) if is_document else _WORDS
    unknown = [name for name in document if name not in words]
    if unknown:
        raise InvalidPlan(
            f"{marked.at(unknown[0])}: a plan has no {unknown[0][:70]!r};"
            f" there are {', '.join(words)}"
        )
    for name in ("name", "description"):
        if not isinstance(document.get(name, ""), str):
            raise InvalidPlan(f"{marked.at(name)}: {name} is a text")
    return WrittenPlan(
        name=str(document.get("name", "plan")),
        description=str(document.get("description", "")),
        parameters=read_parameters(
            document.get("params") or {}, lambda *path: marked.at("params", *path)
        ),
        is_document=is_document,
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
            self._check_target(leg.target, (*places[leg.key], "target"), f"{leg.key}: ")
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
            text, _, where = str(error).partition(" - at `$.")
            name = f"{where.rstrip('`')}: " if where else ""
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
