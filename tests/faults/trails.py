"""Trails: what the log of events says of each job has to explain how the job stands."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fleetjobs.errors import InvalidTransition
from fleetjobs.states import State, check_move

#: an end, or a stand, that has to say why
NEEDS_REASON = frozenset(
    {State.FAILED, State.CANCELLED, State.EXPIRED, State.SKIPPED, State.PAUSED}
)

Event = Mapping[str, Any]


def gaps(
    job: Mapping[str, Any], runs: Sequence[Mapping[str, Any]], events: Sequence[Event]
) -> Iterator[str]:
    """Where the log does not explain the job: a move without actor, cause or predecessor.

    It also has to be in order: numbers grow.
    """
    name = job["id"]
    if not events or events[0]["kind"] != "job.accepted":
        yield f"I11 {name}: its log does not begin with its acceptance"
        return
    numbers = [event["seq"] for event in events]
    if numbers != sorted(set(numbers)):
        yield f"I11 {name}: its log is not in order"
    first = events[0]["new"]
    moves = defaultdict(list)
    for event in events[1:]:
        if event["new"] is not None:
            moves[event["node"]].append(event)
        if not event["actor"]:
            yield f"I11 {name}: nobody did {event['kind']}"
    stands = {None: job["state"], **{run["node"]: run["state"] for run in runs}}
    for node, state in stands.items():
        yield from _broken(f"{name} {node or ''}".strip(), moves[node], first, state)


def _broken(name: str, moves: Sequence[Event], first: str, last: str) -> Iterator[str]:
    """Where a way from the first state to the last one has a hole."""
    stands = first
    for event in moves:
        if event["old"] != stands:
            yield f"I11 {name}: was {stands} and then {event['old']}"
        stands = event["new"]
        try:
            check_move(State(event["old"]), State(stands))
        except InvalidTransition as wrong:
            yield f"I11 {name}: {wrong}"
        if event["node"] is not None and stands in NEEDS_REASON and not event["reason"]:
            yield f"I11 {name}: {stands} for no reason"
    if stands != last:
        yield f"I11 {name}: its log ends with {stands}, and it is {last}"
