"""A plan is held against the interfaces: outputs it refers to are declared, and of a type."""

from typing import Any

import msgspec
import pytest

from fleetjobs.errors import InvalidPlan
from fleetjobs.interfaces import Interface, read_interface
from fleetjobs.plans.checks import find_problems
from fleetjobs.plans.documents import Plan
from fleetjobs.plans.shapes import arrange

Json = dict[str, Any]


def interfaces() -> dict[str, Interface]:
    """An agent that makes things of every type, and takes them."""

    def declared(**types: str) -> Json:
        return {
            name: {"type": kind, "optional": True, "description": name, "list": ["a", "b"]}
            for name, kind in types.items()
        }

    def outputs(**types: str) -> Json:
        return {name: {"type": kind} for name, kind in types.items()}

    types = {"text": "string", "number": "integer", "flag": "boolean", "tree": "hash"}
    more = {"list": "array", "thing": "any", "choice": "list", "share": "float"}
    document = {
        "metadata": {"name": "vm", "version": "1.0.0", "timeout": 60},
        "actions": [
            {
                "action": "make",
                "input": {"name": {"type": "string", "validation": "^[a-z0-9]+$", "maxlength": 9}},
                "output": {**outputs(**types, **more), "untyped": {}},
            },
            {"action": "take", "input": declared(**types, **more), "output": {}},
            {"action": "remove", "input": {"name": {"type": "string"}}, "output": {}},
        ],
    }
    return {"vm": read_interface(document)}


def plan(take: Json, **more: Any) -> Plan:
    """Make a thing, and take what that gave."""
    legs = [
        {"key": "make", "agent": "vm", "action": "make", "data": {"name": "web1"}, **more},
        {"key": "take", "agent": "vm", "action": "take", "data": take, "needs": [{"leg": "make"}]},
    ]
    return msgspec.convert({"legs": legs}, Plan)


def check(made: Plan) -> None:
    """Raises InvalidPlan with what is wrong first."""
    for problem in find_problems(arrange(made), interfaces()):
        raise InvalidPlan(f"{problem.leg}: {problem.detail}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", "${legs.make.data.text}"),
        ("text", "${legs.make.data.choice}"),
        ("choice", "${legs.make.data.text}"),
        ("text", "on ${legs.make.node}: ${legs.make.data.number} ${legs.make.data.flag}"),
        ("text", "${legs.make.statusmsg}"),
        ("text", "$${literal} and $${legs.make.data.tree}"),
        ("number", "${legs.make.data.number}"),
        ("number", "${legs.make.data.share}"),
        ("number", "${legs.make.data.thing}"),
        ("number", "${legs.make.data.untyped}"),
        ("number", "${legs.make.data.untyped.x.y}"),
        ("tree", "${legs.make.data.tree}"),
        ("tree", "${legs.make.data}"),
        ("text", "${legs.make.data.tree.deep.0.name}"),
        ("tree", {"inner": ["${legs.make.data.list}"]}),
        ("list", "${legs.make.data.list}"),
        ("thing", "${legs.make.data.list}"),
    ],
)
def test_what_may_fit_passes(name: str, value: object) -> None:
    check(plan({name: value}))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("text", "${legs.make.data.pth}", "vm.make answers no 'pth'; its outputs are: text"),
        ("text", "${legs.make.data.number}", "takes string as text; .* is integer"),
        ("number", "${legs.make.data.text}", "takes integer as number"),
        ("number", "1${legs.make.data.number}", "a text with .* is string"),
        ("flag", "${legs.make.node}", "takes boolean"),
        ("list", "${legs.make.data.tree}", "takes array"),
        ("text", "<${legs.make.data.tree}>", "hash, which cannot stand inside a text"),
        ("tree", {"x": "<${legs.make.data.list}>"}, "array, which cannot stand inside a text"),
        ("text", "${legs.make.data.text.x}", "text is string, there is nothing below it"),
        ("nope", "${legs.make.data.text}", "has no input 'nope'"),
        ("number", "many", "number must be a whole number"),
        ("number", "$${x}", "number must be a whole number"),
    ],
)
def test_what_cannot_fit_is_refused_naming_the_leg(name: str, value: object, said: str) -> None:
    with pytest.raises(InvalidPlan, match=f"^take: .*{said}"):
        check(plan({name: value}))


def test_all_problems_are_found_at_once() -> None:
    legs = [
        {"key": "a", "agent": "vm", "action": "mak"},
        {"key": "b", "agent": "vm", "action": "make"},
        {"key": "c", "agent": "nope", "action": "make"},
        {"key": "d", "agent": "vm", "action": "make", "data": {"name": "A B"}},
        {
            "key": "e",
            "agent": "vm",
            "action": "take",
            "data": {"text": "${legs.a.data.x}"},
            "needs": [{"leg": "a"}],
        },
    ]
    shape = arrange(msgspec.convert({"legs": legs}, Plan))

    found = find_problems(shape, interfaces())

    assert [(one.leg, one.code) for one in found] == [
        ("a", "unknown_action"),
        ("b", "missing_input"),
        ("c", "invalid_plan"),
        ("d", "invalid_input"),
    ]


def test_what_undoes_a_leg_is_checked_too() -> None:
    def undo(action: str, **data: str) -> Plan:
        return plan({}, undo={"action": action, "data": data})

    check(undo("remove", name="${data.name}"))
    check(undo("remove", name="${reply.text}"))
    check(plan({}, undo="nothing"))
    with pytest.raises(
        InvalidPlan, match=r"make: vm.make: undo: this agent has no action 'unmake'"
    ):
        check(undo("unmake"))
    with pytest.raises(InvalidPlan, match="'nme' is no input"):
        check(undo("remove", name="${data.nme}"))
