"""Options: what Celery's signatures carry beside a task and its arguments, and what comes of each.

Every option is honoured or refused by name; none is ignored. Beside Celery's own, `set()` takes
the words of plans: `build.set(key="disk", max_failures="10%")`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fleetjobs.errors import InvalidPlan

#: Celery's options that are honoured, and how
HONOURED: Mapping[str, str] = {
    "countdown": "`delay_s`: seconds from the moment the leg could start",
    "eta": "`not_before`: a time with its zone",
    "expires": "`start_before`: a time with its zone, or seconds from now if nothing comes before",
    "retries": "`retries`: how often more it is tried when it fails",
    "priority": "`priority`: among what waits for a slot, the higher goes first",
    "link": "a leg of its own that starts when this one has succeeded; nothing else waits for it",
    "link_error": "a leg of its own that starts when this one has failed; of a chain or a chord, "
    "when anything in it has",
}
#: words of plans that `set()` takes on a task: the fields of a leg
LEG_WORDS = (
    "key",
    "target",
    "weight",
    "priority",
    "on_failure",
    "max_failures",
    "rollout",
    "undo",
    "retry_mode",
    "rollback_to",
)
PACE = "pace"  #: how a task waits for what is before it: `node` or `barrier`
GROUP_WORDS = ("key", "max_failures")  #: the same on a group, or on a chord for its header

_FROZEN = "it is the mark of a signature that was frozen or sent; hand it in as it was composed"
_NODES = "the target says which nodes it goes to, and each has its own queue"
_SIGNED = "requests travel as signed JSON"
_LIMITS = "the interface of the action says how long it may take (`timeout_s`)"
#: Celery's options that are refused, and why
REFUSED: Mapping[str, str] = {
    "task_id": "the ids of legs follow from the plan's and their keys; set(key=…) names one",
    **dict.fromkeys(
        (
            "group_id",
            "group_index",
            "root_id",
            "parent_id",
            "reply_to",
            "chord",
            "chain",
            "replaced_task_nesting",
            "add_to_parent",
        ),
        _FROZEN,
    ),
    **dict.fromkeys(("queue", "exchange", "routing_key", "router", "route_name"), _NODES),
    **dict.fromkeys(("time_limit", "soft_time_limit"), _LIMITS),
    **dict.fromkeys(("task_type", "result_cls"), "nobody looks at it but Celery itself"),
    "ignore_result": "what came of a leg is always kept",
    "headers": "requests have no headers",
    "stamped_headers": "stamps are not kept; a plan has a name, and its legs have keys",
    **dict.fromkeys(("serializer", "compression", "delivery_mode"), _SIGNED),
    **dict.fromkeys(
        ("connection", "producer", "publisher", "immediate", "mandatory"),
        "the server hands legs over",
    ),
    **dict.fromkeys(("retry", "retry_policy"), "handing over is repeated until it is confirmed"),
    "max_retries": "set(retries=…) says how often more it is tried",
    "interval": "nothing polls; a chord's body is released by the last reply",
    "shadow": "set(key=…) gives a leg its name",
}


def given(options: Any, place: str) -> dict[str, Any]:
    """The options that say anything. Raises InvalidPlan for one that cannot be honoured."""
    if not isinstance(options, Mapping):
        raise InvalidPlan(f"{place}: its options are not an object")
    found = {name: value for name, value in options.items() if value is not None}
    if found.get("ignore_result") is False:
        del found["ignore_result"]
    for name, why in REFUSED.items():
        if name in found:
            raise InvalidPlan(f"{place}: the option {name} cannot be honoured: {why}")
    return found


def take(options: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Those options, taken out."""
    return {name: options.pop(name) for name in names if name in options}


def check_rest(options: Mapping[str, Any], place: str) -> None:
    """What nobody took is not known here. Raises InvalidPlan."""
    for name in sorted(options, key=str):
        raise InvalidPlan(f"{place}: plans know no option {str(name)[:70]!r} there")


def times(options: dict[str, Any], place: str, *, now: datetime, is_first: bool) -> dict[str, Any]:
    """Celery's times and retries as fields of a leg, taken out of the options.

    `is_first`: nothing comes before the leg, so that seconds count from now. Raises InvalidPlan.
    """
    fields: dict[str, Any] = take(options, ("retries",))
    if "countdown" in options:
        fields["delay_s"] = options.pop("countdown")
    if "eta" in options:
        fields["not_before"] = _moment(options.pop("eta"), f"{place}: eta")
    if "expires" in options:
        fields["start_before"] = _end(options.pop("expires"), place, now, is_first=is_first)
    return fields


def _end(value: Any, place: str, now: datetime, *, is_first: bool) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _moment(value, f"{place}: expires")
    if not is_first:
        raise InvalidPlan(
            f"{place}: expires={value} would count from the end of what is before it, which nobody"
            " knows; give a time"
        )
    try:
        return now + timedelta(seconds=value)
    except OverflowError:
        raise InvalidPlan(f"{place}: expires={value} is too far away") from None


def _moment(value: Any, place: str) -> datetime:
    """A time as Celery's JSON has it, or as a text. Raises InvalidPlan."""
    if isinstance(value, Mapping) and value.get("__type__") == "datetime":
        value = value.get("__value__")
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime):
        raise InvalidPlan(f"{place} is no time; write 2026-12-01T04:00:00Z")
    if value.tzinfo is None:
        raise InvalidPlan(f"{place} has no zone; write {value.isoformat()}+00:00 or such")
    return value.astimezone(UTC)
