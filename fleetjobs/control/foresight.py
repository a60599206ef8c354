"""Foresight: what stands in the way of a job that is about to be accepted."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from fleetjobs.control.acceptance import Weighed
from fleetjobs.names import NodeId
from fleetjobs.schedules.windows import Verdict
from fleetjobs.store.gates import Gates

SHOWN = 5  #: nodes a warning names at most


def foresee(connection: Connection, weighed: Weighed, now: datetime) -> list[str]:
    """Warnings, for people: pauses and windows that make the job wait, expire, or overrun."""
    job = weighed.job
    gates = Gates.read(connection, weighed.nodes)
    if not gates.calendars and not gates.paused:
        return []
    begin = max(now, job.not_before or now)
    paused = [node for node in weighed.nodes if gates.is_paused(job.org, node)]
    judged = {
        node: gates.judge(job.org, node, begin, window_only=job.window_only)
        for node in weighed.nodes
    }
    timeout = max(action.timeout for action in weighed.actions)
    warnings = [f"nothing begins on {_listed(paused)} until it is resumed"] if paused else []
    warnings += _closed({node: verdict for node, (verdict, _) in judged.items()}, job.start_before)
    short = [
        node
        for node, (verdict, until) in judged.items()
        if _is_short(verdict, until, begin, timeout)
    ]
    if short:
        warnings.append(
            f"on {_listed(short)} the window closes before {timeout} are over, which it may take; "
            "what has begun goes on"
        )
    return warnings


def _is_short(
    verdict: Verdict, until: datetime | None, begin: datetime, timeout: timedelta
) -> bool:
    return verdict.is_open and until is not None and until - begin < timeout


def _closed(judged: dict[NodeId, Verdict], start_before: datetime | None) -> Iterator[str]:
    """One warning for all nodes that are closed alike."""
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
