"""Fills: what the references in a leg's data mean, once the legs before have answered."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from fleetjobs.errors import InvalidReference
from fleetjobs.names import JobId, NodeId
from fleetjobs.plans.references import look_up, read_reference
from fleetjobs.states import State
from fleetjobs.store.failures import give_up
from fleetjobs.store.handovers import Handover
from fleetjobs.store.judging import settle
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.schema.runs import runs

FILL_MOST = 2 * 1024 * 1024  #: bytes of all that one delivery carries along
CARRIED_MOST = 32 * 1024 * 1024  #: bytes that are carried at once, give or take one delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfilled:
    """A run that cannot be handed over: a reference in its data leads to nothing."""

    handover: Handover
    why: str


def fill_in(
    connection: Connection, due: Sequence[Handover]
) -> tuple[list[Handover], list[Unfilled]]:
    """The same with the values of their references, and those that have none.

    Some at the end may be left out for the next time: what is carried at once has a limit.
    """
    answers = Answers(connection)
    filled: list[Handover] = []
    broken: list[Unfilled] = []
    for item in due:
        if answers.read > CARRIED_MOST:
            break
        try:
            asked = item.references
            values = (
                None if asked is None else answers.of_run(item.node, asked, lenient=item.lenient)
            )
        except InvalidReference as error:
            broken.append(Unfilled(handover=item, why=str(error)))
        else:
            filled.append(item if values is None else replace(item, fills=values))
    return filled, broken


def fail_unfilled(connection: Connection, broken: Sequence[Unfilled], now: datetime) -> set[JobId]:
    """End those runs: they would never reach their nodes. Gives the jobs that moved."""
    if not broken:
        return set()
    ledger = Ledger(connection, [(item.handover.job, item.handover.node) for item in broken], now)
    for item in broken:
        run = ledger.run(item.handover.job, item.handover.node)
        if run is None or run.state not in {State.WAITING, State.SCHEDULED}:
            continue
        if (run.attempt, run.generation) == (item.handover.attempt, item.handover.generation):
            give_up(ledger, run, item.why)
    return settle(ledger)


class Answers:
    """What the runs of earlier legs answered; read once, and only what is asked for is kept."""

    def __init__(self, connection: Connection) -> None:
        """Nothing is read yet."""
        self._connection = connection
        self._lone: dict[JobId, NodeId | None] = {}
        self.read = 0  # bytes of values so far

    def of_run(
        self, node: NodeId, references: Mapping[str, JobId], *, lenient: bool = False
    ) -> dict[str, Any]:
        """The values for a run on that node. Raises InvalidReference saying what is missing.

        Lenient, what is missing is None: a leg that failed half-way may not have said all.
        """
        values: dict[str, Any] = {}
        size = 0
        for job, texts in _by_job(references):
            sources = self._sources(job, node, texts[0], lenient=lenient)
            for text in texts:
                values[text] = _value(text, sources, lenient=lenient)
                size += len(msgspec.json.encode(values[text]))
                if size > FILL_MOST:
                    raise InvalidReference(
                        f"${{{text}}}: what the references come to is longer than {FILL_MOST} bytes"
                    )
        self.read += size
        return values

    def _sources(self, job: JobId, node: NodeId, text: str, *, lenient: bool) -> dict[str, Any]:
        for place in (node, self._only_node(job)):
            if place is None:
                continue
            columns = (runs.c.node, runs.c.data, runs.c.statusmsg, runs.c.ended_at)
            query = select(*columns).where(runs.c.job == job, runs.c.node == place)
            row = self._connection.execute(query).one_or_none()
            if row is not None and row.ended_at is None and not lenient:
                raise InvalidReference(f"${{{text}}}: {row.node} has not answered yet")
            if row is not None:
                return {"data": row.data, "statusmsg": row.statusmsg, "node": row.node}
        raise InvalidReference(f"${{{text}}}: that leg is not on {node}, and not on a single node")

    def _only_node(self, job: JobId) -> NodeId | None:
        if job not in self._lone:
            query = select(runs.c.node).where(runs.c.job == job).limit(2)
            found = list(self._connection.execute(query).scalars())
            self._lone[job] = found[0] if len(found) == 1 else None
        return self._lone[job]


def _value(text: str, sources: Mapping[str, Any], *, lenient: bool) -> Any:
    try:
        return look_up(read_reference(text), sources)
    except InvalidReference:
        if not lenient:
            raise
        return None


def _by_job(references: Mapping[str, JobId]) -> Iterable[tuple[JobId, list[str]]]:
    found: dict[JobId, list[str]] = {}
    for text, job in references.items():
        found.setdefault(job, []).append(text)
    return found.items()
