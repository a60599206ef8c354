"""Canvas: actions as Celery's own signatures, to be composed with its chain, group and chord.

Celery is loaded when the first signature is made; it comes with the extra `node`.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

import msgspec

from fleetjobs.errors import InvalidInput, InvalidPlan, InvalidSetting
from fleetjobs.targets import Target


def make_signature(
    task: str,
    args: Iterable[Any],
    inputs: Mapping[str, Any],
    target: Target,
    *,
    immutable: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """A `celery.Signature` of an action on a target, which travels in its options.

    Raises InvalidInput for positional arguments, InvalidSetting where Celery is not installed.
    """
    if tuple(args):
        raise InvalidInput(f"{task} takes its inputs by name: .s(name=value)")
    try:
        from celery import Signature
    except ImportError:
        raise InvalidSetting(
            "signatures are Celery's, which is not installed: pip install 'fleetjobs[node]'"
        ) from None
    return Signature(
        task,
        kwargs=dict(inputs),
        options={"target": msgspec.json.decode(msgspec.json.encode(target)), **(options or {})},
        immutable=immutable,
    )


def is_canvas(work: Any) -> bool:
    """Whether it is a signature of Celery's, or the JSON of one."""
    return isinstance(work, Mapping) and "task" in work


def as_json(canvas: Any) -> Any:
    """The canvas as plain JSON: generators as lists, times as text. Raises InvalidPlan."""
    try:
        return _plain(canvas)
    except RecursionError:
        raise InvalidPlan("the canvas is nested too deeply") from None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    if isinstance(value, Iterable) and not isinstance(value, bytes | AbstractSet):
        return [_plain(inner) for inner in value]
    raise InvalidPlan(f"the canvas holds a {type(value).__name__}, which JSON has not")
