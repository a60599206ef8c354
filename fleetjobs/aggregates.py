"""Aggregates: one line over the replies of many nodes."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from fleetjobs.interfaces import Action, Aggregate

HUGE = 1e100  #: numbers beyond it are left out: their sum could not be told
BINS = 10  #: columns of a chart
_BARS = "▁▂▃▄▅▆▇█"
#: the one conversion a `format` may have; bounded: no interface may ask for a gigabyte of zeros
_CONVERSION = r"\A[^%]{0,200}%[-+ 0]?[0-9]{0,2}(?:\.[0-9]{1,2})?[dfsge][^%]{0,200}\Z"


class AggregateResult(Struct, frozen=True, kw_only=True):
    """What one aggregate came to."""

    function: str
    output: str
    title: str  # for people: "Summary of Status"
    value: (
        Any  # summaries: {text: count}; average and sum: number or None; chart: {low high counts}
    )
    lines: tuple[str, ...]  # ready to print, after the title


def summarize(action: Action, replies: Iterable[Mapping[str, Any]]) -> list[AggregateResult]:
    """Each aggregate of the action, over the data of its replies; absent and null do not count."""
    rows = list(replies)
    return [_summarize(action, aggregate, rows) for aggregate in action.aggregates]


def _summarize(
    action: Action, aggregate: Aggregate, rows: Sequence[Mapping[str, Any]]
) -> AggregateResult:
    values = [row[aggregate.output] for row in rows if row.get(aggregate.output) is not None]
    value, lines = _FUNCTIONS[aggregate.function](values, aggregate.options)
    name = aggregate.function.replace("_", " ").capitalize()
    return AggregateResult(
        function=aggregate.function,
        output=aggregate.output,
        title=f"{name} of {action.outputs[aggregate.output].display_as}",
        value=value,
        lines=lines,
    )


Result = tuple[Any, tuple[str, ...]]


def _summary(values: Sequence[Any], _: Mapping[str, Any]) -> Result:
    """How often each value came; the elements of an array count one by one."""
    counts: Counter[str] = Counter()
    for value in values:
        counts.update(_text(item) for item in (value if isinstance(value, list) else [value]))
    return _counted(counts)


def _boolean_summary(values: Sequence[Any], options: Mapping[str, Any]) -> Result:
    """How often true and false came, under the titles that the options give them."""
    titles = {True: str(options.get("true", "True")), False: str(options.get("false", "False"))}
    return _counted(Counter(titles[value] for value in values if isinstance(value, bool)))


def _counted(counts: Counter[str]) -> Result:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    width = max((len(text) for text, _ in ordered), default=0)
    return dict(ordered), tuple(f"{text:>{width}} = {count}" for text, count in ordered)


def _average(values: Sequence[Any], options: Mapping[str, Any]) -> Result:
    numbers = _numbers(values)
    if not numbers:
        return None, ()
    mean = math.fsum(numbers) / len(numbers)
    return mean, (_formatted(options, mean, default=f"{mean:.3f}"),)


def _sum(values: Sequence[Any], options: Mapping[str, Any]) -> Result:
    numbers = _numbers(values)
    if not numbers:
        return None, ()
    total = sum(numbers)
    return total, (_formatted(options, total, default=f"{total}"),)


def _chart(values: Sequence[Any], options: Mapping[str, Any]) -> Result:
    """How the numbers are spread between the lowest and the highest."""
    numbers = _numbers(values)
    if not numbers:
        return None, ()
    low, high = min(numbers), max(numbers)
    counts = [0] * BINS
    for number in numbers:
        share = (number - low) / (high - low) if high > low else 0
        counts[min(int(share * BINS), BINS - 1)] += 1
    bars = "".join(_BARS[count * (len(_BARS) - 1) // max(counts)] for count in counts)
    line = _formatted(options, bars, default=f"{low} {bars} {high}")
    return {"low": low, "high": high, "counts": counts}, (line,)


def _numbers(values: Sequence[Any]) -> list[int | float]:
    return [
        value
        for value in values
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= HUGE
    ]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _formatted(options: Mapping[str, Any], value: Any, *, default: str) -> str:
    """The value as the interface wants it written; its format is used only if it is harmless."""
    template = options.get("format")
    if not isinstance(template, str) or not re.match(_CONVERSION, template):
        return default
    try:
        return template % (value,)
    except (TypeError, ValueError):
        return default


_FUNCTIONS: Mapping[str, Callable[[Sequence[Any], Mapping[str, Any]], Result]] = {
    "summary": _summary,
    "boolean_summary": _boolean_summary,
    "average": _average,
    "sum": _sum,
    "chart": _chart,
}
