"""Interfaces: what an agent's `<agent>.json` says of its actions, ready to be asked."""

import copy
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

from msgspec import Struct

from fleetjobs.declarations import (
    ActionDeclaration,
    ActionTraits,
    AggregateDeclaration,
    InterfaceDocument,
    OutputDeclaration,
    Undo,
    read_declaration,
)
from fleetjobs.dialects import FOREIGN, adapted, read_input
from fleetjobs.errors import (
    InvalidInput,
    InvalidInterface,
    MissingInput,
    UnknownAction,
)
from fleetjobs.inputs import Input, InputType
from fleetjobs.undos import check_undo
from fleetjobs.values import check_value

#: MCollective's clients send it along; no interface declares it
PROCESS_RESULTS = "process_results"
MASK = "***"


class Display(StrEnum):
    """Which replies of an action are worth showing, if nobody says otherwise."""

    OK = "ok"
    FAILED = "failed"
    ALWAYS = "always"


class Output(Struct, frozen=True, kw_only=True):
    """One declared field of a reply's data."""

    name: str
    description: str
    display_as: str
    type: InputType | None  # for display; nobody checks outputs
    default: Any  # None: none


class Aggregate(Struct, frozen=True, kw_only=True):
    """A summary over all replies; see `aggregates`."""

    function: str  # summary, average, sum, boolean_summary, chart
    output: str
    options: dict[str, Any]  # format, or the titles of a boolean_summary


class Action(Struct, frozen=True, kw_only=True):
    """One typed operation of an agent."""

    agent: str
    name: str
    description: str
    inputs: dict[str, Input]
    outputs: dict[str, Output]
    display: Display
    aggregates: tuple[Aggregate, ...]
    inline: bool  # quick and read-only: runs inside the worker
    idempotent: bool  # may be attempted again by itself
    timeout: timedelta
    secrets: frozenset[str]  # inputs that are never shown
    max_attempts: int = 1  # of themselves; a caller who asks may have more
    retry_delay: timedelta = timedelta(seconds=30)
    lost_after: timedelta = timedelta(seconds=60)  # of its node's silence
    retry_lost: bool = False  # a lost attempt is repeated rather than shown to a person
    give_up: timedelta | None = timedelta(days=1)  # after its node was lost; None: never
    max_parallel: int | None = None  # at once on one node; None: as many as there are slots
    max_parallel_org: int | None = None  # at once on all nodes of an org; None: as many as come
    window_only: bool | None = None  # None: what windows there are hold; False: none does
    undo: Undo | None = None  # what takes it back
    reversible: bool = False  # it has an undo, or leaves nothing that needs one

    def __str__(self) -> str:
        return f"{self.agent}.{self.name}"

    def check(self, data: Mapping[str, Any], *, later: Collection[str] = ()) -> None:
        """Let valid inputs pass; defaults stand in for those left out, `later` have no value yet.

        Raises MissingInput or InvalidInput; their `field` says which. `process_results` is let
        through undeclared.
        """
        for name in data:
            if name not in self.inputs and name != PROCESS_RESULTS:
                raise _at(name, InvalidInput(self._undeclared(name)))
        for name, declared in self.inputs.items():
            if name in data:
                if name not in later:
                    _check(declared, data[name])
            elif declared.default is None and not declared.optional:
                about = f"{self} needs {name}: {declared.description}".rstrip(": ")
                raise _at(name, MissingInput(about))
        if not isinstance(data.get(PROCESS_RESULTS, True), bool) and PROCESS_RESULTS not in later:
            raise InvalidInput(f"{PROCESS_RESULTS} must be true or false")

    def _undeclared(self, name: str) -> str:
        takes = ", ".join(self.inputs) or "none"
        return f"{self} has no input {name!r:.70}; its inputs are: {takes}"

    def with_defaults(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs, with the defaults of those left out."""
        return {**_defaults(self.inputs), **data}

    def with_output_defaults(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """A reply's data, with the defaults of the outputs left out; undeclared ones are kept."""
        return {**_defaults(self.outputs), **data}

    def masked(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs as they may be shown: secrets are `***`."""
        return {name: MASK if name in self.secrets else value for name, value in data.items()}

    def parse(self, words: Sequence[str]) -> dict[str, Any]:
        """Typed and checked inputs from `name=value` words; hashes and arrays are JSON.

        Raises MissingInput or InvalidInput.
        """
        data = self.parse_some(words)
        self.check(data)
        return data

    def parse_some(self, words: Sequence[str]) -> dict[str, Any]:
        """Typed inputs, of which some may be missing. Raises InvalidInput."""
        data: dict[str, Any] = {}
        for word in words:
            name, equals, text = word.partition("=")
            if not equals:
                raise InvalidInput(f"{word!r:.70} is not of the form name=value")
            if name not in self.inputs:
                raise InvalidInput(self._undeclared(name))
            if name in data:
                raise InvalidInput(f"{name} is given twice")
            data[name] = self.inputs[name].parse(text)
        return data


F = TypeVar("F", InvalidInput, MissingInput)


def _at(name: str, fault: F) -> F:
    """The fault with its place."""
    fault.field = f"data.{name}"
    return fault


def _check(declared: Input, value: Any) -> None:
    try:
        declared.check(value)
    except InvalidInput as fault:
        _at(declared.name, fault)
        raise


def _defaults(declared: Mapping[str, Input] | Mapping[str, Output]) -> dict[str, Any]:
    """Copies, for a caller may change what is nested in them."""
    return {
        name: copy.deepcopy(item.default)
        for name, item in declared.items()
        if item.default is not None
    }


class Interface(Struct, frozen=True, kw_only=True):
    """An agent, as its interface document declares it."""

    name: str
    version: str
    description: str
    timeout: timedelta
    provider: str
    actions: dict[str, Action]
    document: dict[str, Any]  # as it was read
    left_out: tuple[str, ...] = ()  # what of it means nothing here

    def action(self, name: str) -> Action:
        """The action of that name. Raises UnknownAction, listing what there is."""
        try:
            return self.actions[name]
        except KeyError:
            known = ", ".join(sorted(self.actions)) or "none"
            raise UnknownAction(
                f"{self.name} has no action {name!r:.70}; its actions are: {known}"
            ) from None


def read_interface(document: object, *, is_known: bool = False) -> Interface:
    """The interface in a decoded JSON document. Raises InvalidInterface naming the place.

    `is_known`: a server has taken it; its patterns and defaults are not tried out once more.
    """
    if not isinstance(document, dict):
        raise InvalidInterface("an interface is a JSON object")
    try:
        check_value(document, "the document")
    except InvalidInput as error:
        raise InvalidInterface(str(error)) from None
    known, left_out = adapted(document)
    declared = read_declaration(known)
    metadata = declared.metadata
    actions: dict[str, Action] = {}
    for action in declared.actions:
        if action.action in actions:
            raise InvalidInterface(f"{metadata.name}.{action.action} is declared twice")
        actions[action.action] = _read_action(declared, action, is_known=is_known)
    for name in declared.fleetjobs.actions:
        if name not in actions:
            raise InvalidInterface(f"fleetjobs.actions: {metadata.name} has no action {name!r}")
    for read in actions.values():
        if read.undo:
            check_undo(str(read), read.undo, read, actions.get(read.undo.action))
    return Interface(
        name=metadata.name,
        version=metadata.version,
        description=metadata.description,
        timeout=timedelta(seconds=metadata.timeout),
        provider=metadata.provider,
        actions=actions,
        document=document,
        left_out=tuple(left_out),
    )


def _read_action(
    interface: InterfaceDocument, declared: ActionDeclaration, *, is_known: bool
) -> Action:
    metadata = interface.metadata
    place = f"{metadata.name}.{declared.action}"
    ours = metadata.provider not in FOREIGN
    traits = interface.fleetjobs.actions.get(declared.action, ActionTraits())
    for name in traits.secret:
        if name not in declared.input:
            raise InvalidInterface(f"{place}: secret names {name!r:.70}, which is no input")
    return Action(
        agent=metadata.name,
        name=declared.action,
        description=declared.description,
        inputs={
            name: read_input(place, name, item, is_ours=ours, is_known=is_known)
            for name, item in declared.input.items()
        },
        outputs={name: _read_output(name, item) for name, item in declared.output.items()},
        display=Display(declared.display),
        aggregates=tuple(_read_aggregate(place, declared, item) for item in declared.aggregate),
        inline=traits.inline,
        idempotent=traits.idempotent,
        timeout=timedelta(seconds=traits.timeout_s or metadata.timeout),
        secrets=frozenset(traits.secret),
        max_attempts=traits.max_attempts if traits.idempotent else 1,
        retry_delay=timedelta(seconds=traits.retry_delay_s),
        lost_after=timedelta(seconds=traits.lost_after_s),
        retry_lost=traits.idempotent and traits.on_lost == "retry",
        give_up=None if traits.give_up_s is None else timedelta(seconds=traits.give_up_s),
        max_parallel=traits.max_parallel,
        max_parallel_org=traits.max_parallel_org,
        window_only=False if traits.inline and not traits.window_only else traits.window_only,
        undo=traits.undo if isinstance(traits.undo, Undo) else None,
        reversible=traits.undo is not None or traits.inline,
    )


def _read_output(name: str, declared: OutputDeclaration) -> Output:
    return Output(
        name=name,
        description=declared.description,
        display_as=declared.display_as or name,
        type=InputType(declared.type.lower()) if declared.type else None,
        default=declared.default,
    )


def _read_aggregate(
    place: str, action: ActionDeclaration, declared: AggregateDeclaration
) -> Aggregate:
    output, *rest = declared.args
    if output not in action.output:
        raise InvalidInterface(f"{place}: {declared.function} over {output!r:.70}, no output")
    if rest and not isinstance(rest[0], dict):
        raise InvalidInterface(f"{place}: the options of {declared.function} are not an object")
    return Aggregate(
        function=declared.function, output=output, options=dict(rest[0]) if rest else {}
    )
