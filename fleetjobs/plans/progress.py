"""Progress: how much of a job or a plan is done, in percent."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from fleetjobs.states import State, Tally

_ALL = 100.0
_MOST_UNDONE = 99.9  #: the most of what has not succeeded
_DONE = (State.SUCCEEDED, State.SKIPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A leg, or a group with the weight of all its legs, as it stands."""

    weight: float
    done: float  # from 0 to 1


def done(state: State, tally: Tally, underway: float = 0.0) -> float:
    """How much of a leg is done: the share of its runs that succeeded or were skipped.

    `underway`: how many runs the shares that those at work have done come to.

    A leg that has succeeded, or was skipped by its own `start_if`, is done whatever became of
    single runs. A failed run counts for nothing, so that trying it again takes nothing back.
    """
    if state in _DONE:
        return 1.0
    total = tally.total()
    return (sum(tally[one] for one in _DONE) + underway) / total if total else 0.0


def gathered(parts: Iterable[Part]) -> Part:
    """A group as one part: weighs what its parts weigh."""
    found = list(parts)
    weight = math.fsum(part.weight for part in found)
    reached = math.fsum(part.weight * part.done for part in found)
    return Part(weight=weight, done=reached / weight if weight else 0.0)


def percent(parts: Iterable[Part], state: State, before: float | None = None) -> float | None:
    """Percent of a plan in that state, to a tenth; None while it has no parts.

    Never less than `before`, what it was last; frozen while it is rolled back and once it has
    ended; 100.0 if and only if it has succeeded. Legs that undo others are no parts.
    """
    if state is State.SUCCEEDED:
        return _ALL
    if before is not None and (state is State.REVERTING or state.is_terminal):
        return before
    part = gathered(parts)
    if not part.weight:
        return before
    return max(before or 0.0, min(_tenth(part.done), _MOST_UNDONE))


def _tenth(share: float) -> float:
    """Rounded down to a tenth of a percent: 99.96 is not all. First the error of floats goes."""
    return math.floor(round(share * _ALL * 10, 6)) / 10
