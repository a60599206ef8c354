"""Signatures: the form in which Celery keeps one, and what is in it."""

from collections.abc import Mapping, Sequence
from typing import Any

from fleetjobs.errors import InvalidPlan

_MAPS = ("celery.map", "celery.starmap", "celery.chunks")
LINK, ERROR = "link", "link_error"
_FIELDS = frozenset({"task", "args", "kwargs", "options", "subtask_type", "immutable"})


def check_form(canvas: Any) -> str:
    """The signature's name in sentences. Raises InvalidPlan for what is no signature we take."""
    if not isinstance(canvas, Mapping) or not isinstance(canvas.get("task"), str):
        raise InvalidPlan("not a signature of Celery: an object with a task is needed")
    name = str(canvas["task"])[:140]
    kind = canvas.get("subtask_type")
    if kind not in (None, "chain", "group", "chord") or (kind is None and name in _MAPS):
        raise InvalidPlan(f"{name} cannot be honoured; write a group, with a task for each")
    if unknown := sorted(str(key) for key in canvas.keys() - _FIELDS):
        raise InvalidPlan(f"{name}: a signature has no {unknown[0][:70]!r}")
    if not isinstance(canvas.get("kwargs") or {}, Mapping):
        raise InvalidPlan(f"{name}: its kwargs are not an object")
    return name


def several(value: Any) -> list[Any]:
    """One thing, or a list of them, as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def parts(value: Any, place: str) -> list[Any]:
    """The tasks of a canvas. Raises InvalidPlan if there is no list of them."""
    if not isinstance(value, list | tuple):
        raise InvalidPlan(f"{place} has no list of tasks")
    return list(value)


def holds_anything(value: Any) -> bool:
    """Whether there is anything in it: Celery nests an empty object in another."""
    if isinstance(value, Mapping):
        return any(holds_anything(inner) for inner in value.values())
    return value not in (None, [], ())


def with_errors(canvas: Any, errors: Sequence[Any]) -> Any:
    """The signature with more error callbacks."""
    if not errors or not isinstance(canvas, Mapping):
        return canvas
    options = dict(canvas.get("options") or {})
    options[ERROR] = [*several(options.get(ERROR)), *errors]
    return {**canvas, "options": options}


def errors_of(body: Any) -> tuple[list[Any], Any]:
    """A chord body's error callbacks, and the body without: they are called for its header, too.

    Of a group's: those that all its tasks have.
    """
    if not isinstance(body, Mapping):
        return [], body
    options = dict(body.get("options") or {})
    found = several(options.pop(ERROR, None))
    body = {**body, "options": options}
    inside = body.get("kwargs") or {}
    tasks = inside.get("tasks") if body.get("subtask_type") == "group" else None
    if not isinstance(tasks, list | tuple) or not tasks:
        return found, body
    each = [errors_of(task) for task in tasks]
    common = [one for one in each[0][0] if all(one in errors for errors, _ in each)]
    rest = [
        with_errors(task, [one for one in errors if one not in common]) for errors, task in each
    ]
    return [*found, *common], {**body, "kwargs": {**inside, "tasks": rest}}
