"""Declarations: the shape of an interface document, `<agent>.json`.

It is Choria's schema for agents (mcorpc/ddl/v1), read strictly: a misspelt `validation` that
passed unnoticed would let everything through. One key is ours, `fleetjobs`.
"""

from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct, field

from fleetjobs.errors import InvalidInterface

Name = Annotated[str, Meta(pattern=r"\A[a-z0-9_]{1,64}\Z", description="agent or action")]
FieldName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_]{1,64}\Z", description="input or output")]
Version = Annotated[str, Meta(pattern=r"\A([0-9]+\.)?([0-9]+\.)?(\*|[0-9]+)\Z", max_length=64)]
TypeName = Literal[
    "string",
    "list",
    "boolean",
    "integer",
    "float",
    "number",
    "hash",
    "array",
    "any",
    "Hash",
    "Array",
]
AggregateName = Literal["summary", "average", "sum", "boolean_summary", "chart"]
Seconds = Annotated[float, Meta(gt=0, le=30 * 24 * 3600, description="seconds")]


class Metadata(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who the agent is."""

    name: Name
    version: Version
    timeout: Annotated[int, Meta(ge=1, le=30 * 24 * 3600, description="seconds an action may take")]
    description: str = ""
    author: str = ""
    license: str = ""
    url: str = ""
    provider: str = "fleetjobs"
    service: Annotated[
        bool, Meta(description="Choria's: of several nodes one answers; here all that are meant do")
    ] = False


class InputDeclaration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input of an action."""

    type: TypeName
    prompt: str = ""
    description: str = ""
    optional: bool = False
    default: Any = None
    validation: str | None = None
    maxlength: Annotated[float, Meta(ge=0, le=2**31, description="characters; 0: no limit")] = 0
    choices: tuple[str, ...] | None = field(default=None, name="list")


class OutputDeclaration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field of a reply's data."""

    description: str = ""
    display_as: str = ""
    default: Any = None
    type: TypeName | None = None


class AggregateDeclaration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A summary over all replies: of the output its first argument names."""

    function: AggregateName
    args: Annotated[tuple[Any, ...], Meta(min_length=1, max_length=2)]


class ActionDeclaration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One action."""

    action: Name
    description: str = ""
    input: dict[FieldName, InputDeclaration]
    output: dict[FieldName, OutputDeclaration]
    display: Literal["ok", "failed", "always"] = "failed"
    aggregate: tuple[AggregateDeclaration, ...] = ()


class Undo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What takes an action back: another action of the same agent. See `undos`."""

    action: Name
    data: dict[str, Any] = {}  # "${data.name}": an input, "${reply.path}": what was answered
    partial: Annotated[bool, Meta(description="also undo what failed half-way")] = False
    only_if: Annotated[
        FieldName | None, Meta(description="an output; unless it is true, nothing is to be undone")
    ] = None


class ActionTraits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What only fleetjobs asks of an action."""

    inline: Annotated[bool, Meta(description="quick and read-only: runs inside the worker")] = False
    idempotent: Annotated[bool, Meta(description="may be attempted again by itself")] = False
    timeout_s: Seconds | None = None
    secret: Annotated[tuple[str, ...], Meta(description="inputs that are never shown")] = ()
    max_attempts: Annotated[
        int, Meta(ge=1, le=100, description="the first counts; more only if idempotent")
    ] = 1
    retry_delay_s: Seconds = 30  # the first retry comes at once, the n-th after n-1 times that
    lost_after_s: Annotated[
        float, Meta(ge=30, le=30 * 24 * 3600, description="seconds of its node's silence")
    ] = 60
    on_lost: Annotated[Literal["pause", "retry"], Meta(description="retry: only if idempotent")] = (
        "pause"
    )
    give_up_s: (
        Annotated[float, Meta(ge=60, le=366 * 24 * 3600, description="after its node was lost")]
        | None
    ) = 24 * 3600  # null: its runs wait for their node for ever
    max_parallel: Annotated[int, Meta(ge=1, description="at once on one node")] | None = None
    max_parallel_org: (
        Annotated[int, Meta(ge=1, description="at once on all nodes of an org")] | None
    ) = None
    window_only: Annotated[
        bool | None,
        Meta(description="true: only inside an allowed window; false: windows do not hold it"),
    ] = None  # where there are windows, it keeps to them; what is inline does not
    undo: Undo | Literal["nothing"] | None = None  # nothing: it leaves nothing to take back
    implemented_by: Annotated[
        str, Meta(description="the script that does it; of that provider only")
    ] = ""


class Traits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The key `fleetjobs`: our own additions, by action."""

    actions: dict[Name, ActionTraits] = {}


class InterfaceDocument(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an agent declares of itself: who it is, its actions, their inputs and outputs."""

    metadata: Metadata
    actions: tuple[ActionDeclaration, ...]
    schema: str = field(default="", name="$schema")
    fleetjobs: Traits = Traits()


def read_declaration(document: object) -> InterfaceDocument:
    """The document in its shape. Raises InvalidInterface naming the place."""
    try:
        return msgspec.convert(document, InterfaceDocument)
    except (msgspec.ValidationError, RecursionError, UnicodeEncodeError) as error:
        raise InvalidInterface(_place(document) or _in_words(str(error))) from None


def _place(document: object) -> str | None:
    """Which input or output is at fault; msgspec itself calls any key of a mapping `[...]`."""
    if not isinstance(document, dict) or not isinstance(document.get("actions"), list):
        return None
    for action in document["actions"]:
        for key, kind in (("input", InputDeclaration), ("output", OutputDeclaration)):
            fields = action.get(key) if isinstance(action, dict) else None
            for name, declared in fields.items() if isinstance(fields, dict) else ():
                try:
                    msgspec.convert({name: declared}, dict[FieldName, kind])  # type: ignore[valid-type]
                except (msgspec.ValidationError, RecursionError, UnicodeEncodeError) as error:
                    where = f"{action.get('action')!r:.70}, {key} {name!r:.70}"
                    return f"{where}: {_in_words(str(error).partition(' - at ')[0], kind)}"
    return None


#: what a pattern asks for, told to people
_WORDS = {
    r"\A([0-9]+\.)?([0-9]+\.)?(\*|[0-9]+)\Z": "a version such as 1.0.0",
    r"\A[a-z][a-z0-9_]{0,63}\Z": "a name of small letters, digits and _, a letter first",
    r"\A[A-Za-z0-9_]{1,64}\Z": "a name of letters, digits and _",
}
_KINDS: tuple[tuple[str, type[Struct]], ...] = (
    ("`$.metadata`", Metadata),
    ("`$.fleetjobs.actions[", ActionTraits),
    ("`$.actions[", ActionDeclaration),
    ("`$.fleetjobs`", Traits),
)


def _in_words(text: str, kind: type[Struct] | None = None) -> str:
    """What msgspec complains of, with what would be right."""
    for pattern, words in _WORDS.items():
        text = text.replace(f"`str` matching regex {pattern!r}", words)
    if "unknown field" in text:
        kinds = (found for place, found in _KINDS if place in text)
        known = msgspec.structs.fields(kind or next(kinds, InterfaceDocument))
        text = f"{text}; known are {', '.join(each.encode_name for each in known)}"
    if "enum value" in text and kind is not None:
        text = f"{text}; types are {', '.join(get_args(TypeName))}"
    return text
