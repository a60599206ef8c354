"""Foresight: what stands in the way of a job that is about to be accepted."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from fleetjobs.control.acceptance import Weighed
from fleetjobs.control.drafts import Draft
from fleetjobs.names import NodeId
from fleetjobs.schedules.windows import Verdict
from fleetjobs.store.gates import Gates

SHOWN = 5  #: nodes a warning names at most


def foresee(connection: Connection, found: Draft | Weighed, now: datetime) -> list[str]:
    """Warnings, for people: pauses and windows that make it wait, expire, or overrun.

    Of a plan its first legs are looked at: once one has begun, windows hold none of them.
    """
    firsts: Mapping[str, Weighed] = {"": found} if isinstance(found, Weighed) else found.firsts
    gates = Gates.read(connection, {node for one in firsts.values() for node in one.nodes})
    if not gates.calendars and not gates.paused:
        return []
    by_text: dict[str, list[str]] = {}
    for key, weighed in firsts.items():
        for text in _warnings(gates, weighed, now):
            by_text.setdefault(text, []).append(key)
    return [
        text if len(keys) == len(firsts) else f"leg {_listed(keys)}: {text}"
        for text, keys in by_text.items()
    ]


def _warnings(gates: Gates, weighed: Weighed, now: datetime) -> Iterator[str]:
    job = weighed.job
    begin = max(now, job.not_before or now)
    paused = [node for node in weighed.nodes if gates.is_paused(job.org, node)]
    if paused:
        yield f"nothing begins on {_listed(paused)} until it is resumed"
    judged = judge(gates, weighed, begin)
    yield from closed({node: verdict for node, (verdict, _) in judged.items()}, job.start_before)
    timeout = max(action.timeout for action in weighed.actions)
    short = [
        node
        for node, (verdict, until) in judged.items()
        if _is_short(verdict, until, begin, timeout)
    ]
    if short:
        yield (
            f"on {_listed(short)} the window closes before {timeout} are over, which it may take; "
            "what has begun goes on"
        )


def judge(
    gates: Gates, weighed: Weighed, moment: datetime
) -> dict[NodeId, tuple[Verdict, datetime | None]]:
    """What the windows say of each node then, and until when."""
    job = weighed.job
    return {
        node: gates.judge(job.org, node, moment, window_only=job.window_only)
        for node in weighed.nodes
    }


def _is_short(
    verdict: Verdict, until: datetime | None, begin: datetime, timeout: timedelta
) -> bool:
    return verdict.is_open and until is not None and until - begin < timeout


def closed(judged: Mapping[NodeId, Verdict], start_before: datetime | None) -> Iterator[str]:
    """One sentence for all nodes that are closed alike."""
    alike: dict[Verdict, list[NodeId]] = {}
    for node, verdict in judged.items():
        if not verdict.is_open:
            alike.setdefault(verdict, []).append(node)
    for verdict, nodes in alike.items():
        why = f"window {verdict.because}" if verdict.because else "no window allows it then"
        opens = verdict.opens_at
        if opens is None:
            yield f"{_listed(nodes)}: {why}; no opening is in sight"
        elif start_before is not None and opens >= start_before:
            yield (
                f"{_listed(nodes)}: {why}; it opens at {_text(opens)}, and start_before is "
                f"{_text(start_before)}: it will expire"
            )
        else:
            yield f"{_listed(nodes)}: {why}; it waits until {_text(opens)}"


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _listed(nodes: Sequence[str]) -> str:
    more = f" and {len(nodes) - SHOWN} more" if len(nodes) > SHOWN else ""
    return ", ".join(nodes[:SHOWN]) + more
