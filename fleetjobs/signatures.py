"""Signatures: what the methods of a Python agent take, read from its source without running it.

A method that cannot take what the interface promises would fail at its first call; read here, the
agent is refused before anybody can ask for it.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from fleetjobs.inputs import Input, InputType
from fleetjobs.interfaces import Action, Interface

#: the annotations that fit an input of a type; others that we do not know are let pass
FITTING: dict[InputType, frozenset[str]] = {
    InputType.STRING: frozenset({"str"}),
    InputType.LIST: frozenset({"str"}),
    InputType.BOOLEAN: frozenset({"bool", "int"}),
    InputType.INTEGER: frozenset({"int", "float"}),
    InputType.FLOAT: frozenset({"float"}),
    InputType.NUMBER: frozenset({"float"}),
    InputType.HASH: frozenset({"dict", "Mapping", "MutableMapping", "Dict"}),
    InputType.ARRAY: frozenset({"list", "Sequence", "Iterable", "Collection", "List"}),
}
KNOWN = frozenset(name for names in FITTING.values() for name in names) | {"bytes", "set", "tuple"}


@dataclass(frozen=True, slots=True)
class Source:
    """What can be read of an agent's file."""

    actions: dict[str, ast.FunctionDef]
    activates: bool  # it wants to be asked whether it can be here
    is_whole: bool  # its class has no bases but Agent: there are no actions from elsewhere


def read_source(text: str) -> Source | None:
    """The agent's class; None if there is not exactly one, or it is no Python: running it tells."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found = [node for node in tree.body if isinstance(node, ast.ClassDef) and _actions(node)]
    if len(found) != 1:
        return None
    methods = [node for node in found[0].body if isinstance(node, ast.FunctionDef)]
    return Source(
        actions=_actions(found[0]),
        activates=any(method.name == "activate" for method in methods),
        is_whole=[_name(base) for base in found[0].bases] == ["Agent"],
    )


def mismatches(source: Source, interface: Interface) -> list[str]:
    """Where the methods cannot do what the interface declares."""
    found = []
    for name, action in interface.actions.items():
        method = source.actions.get(name)
        if method is not None:
            found += [f"{action}: {why}" for why in _differing(method, action)]
        elif source.is_whole:
            found.append(f"{action} is declared, and no method is its @action")
    for name in source.actions:
        if name not in interface.actions:
            found.append(f"{name} is an @action, and the interface does not declare it")
    return found


def _actions(node: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    found = {}
    for method in node.body:
        if isinstance(method, ast.FunctionDef):
            for decorator in method.decorator_list:
                name = _action_name(decorator, method.name)
                if name:
                    found[name] = method
    return found


def _action_name(decorator: ast.expr, method: str) -> str | None:
    if isinstance(decorator, ast.Call):
        named = decorator.args[0] if decorator.args else None
        is_action = _name(decorator.func) == "action" and isinstance(named, ast.Constant)
        return str(named.value) if is_action and isinstance(named, ast.Constant) else None
    return method if _name(decorator) == "action" else None


def _name(node: ast.expr) -> str:
    """The last part of a name: `Agent` of `fleetjobs.agent.Agent`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _differing(method: ast.FunctionDef, action: Action) -> Iterator[str]:
    arguments = method.args
    places = [*arguments.posonlyargs, *arguments.args][1:]  # without self
    takes = {argument.arg: argument for argument in [*places, *arguments.kwonlyargs]}
    without = places[: len(places) - len(arguments.defaults)]
    without += [
        argument
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is None
    ]
    needs = {argument.arg for argument in without}
    for name, declared in action.inputs.items():
        if name not in takes:
            if arguments.kwarg is None:
                yield f"the method does not take the input {name!r}"
            continue
        if name in needs and declared.optional and declared.default is None:
            yield f"the input {name!r} may be missing, and the method has no default for it"
        yield from _annotation(name, takes[name].annotation, declared)
    for name in sorted(needs - set(action.inputs)):
        yield f"the method needs {name!r}, which is no input"


def _annotation(name: str, annotation: ast.expr | None, declared: Input) -> Iterator[str]:
    names = {_name(part) for part in _parts(annotation)}
    fitting = FITTING.get(declared.type)
    if fitting is not None and names and names <= KNOWN and not names & fitting:
        wanted = " | ".join(sorted(names))
        yield f"the input {name!r} is {declared.type}, and the method wants {wanted}"


def _parts(annotation: ast.expr | None) -> Iterator[ast.expr]:
    """The alternatives of an annotation, without None and without what is in brackets."""
    match annotation:
        case ast.Constant(value=str(text)):
            yield from _parts(_expression(text))
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            yield from _parts(left)
            yield from _parts(right)
        case ast.Subscript(value=value, slice=inner) if _name(value) == "Optional":
            yield from _parts(inner)
        case ast.Subscript(value=value):
            yield value
        case None | ast.Constant(value=None):
            return
        case _:
            yield annotation


def _expression(text: str) -> ast.expr | None:
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
