"""Lanes: how many runs may be at work at once, in all and of each action, and who is in the way."""

from collections import Counter
from collections.abc import Callable

from msgspec import Struct, json

from fleetjobs.errors import Fault
from fleetjobs.names import JobId
from fleetjobs.signing import peek
from fleetjobs.spool.attempts import Accepted, RunKey

Limits = Callable[[str], int | None]  #: by `agent.action`: how many at once; None: as slots are


class _Task(Struct):
    agent: str
    action: str


def lane_of(accepted: Accepted) -> str:
    """The lane of a run: `agent.action`."""
    try:
        task = json.decode(peek(accepted.request), type=_Task)
    except (Fault, ValueError):  # it ends as soon as it is started, and its reply says why
        return ""
    return f"{task.agent}.{task.action}"


def behind(job: JobId) -> str:
    """The lane of an attempt whose job has an earlier one that has not ended."""
    return f"behind {job}"


class Lanes:
    """The runs at work, each in its lane, and whether there is room for another."""

    def __init__(self, slots: int, limits: Limits) -> None:
        self._slots = slots
        self._limits = limits
        self._at_work: dict[RunKey, str] = {}
        self._held_up: set[str] = set()

    def enter(self, key: RunKey, lane: str) -> None:
        """A run is at work."""
        self._at_work[key] = lane

    def leave(self, key: RunKey) -> None:
        """It is not, or not any more."""
        self._at_work.pop(key, None)

    def hold_up(self, lane: str) -> None:
        """Let none start in the lane."""
        self._held_up.add(lane)

    def let_go(self, lane: str) -> None:
        """Let them start again."""
        self._held_up.discard(lane)

    def has_room(self) -> bool:
        """Whether another run may start, of whatever action."""
        return len(self._at_work) < self._slots

    def full(self) -> set[str]:
        """The lanes in which none may start now."""
        counts = Counter(self._at_work.values())
        return self._held_up | {
            lane for lane, count in counts.items() if self._is_full(lane, count)
        }

    def blocker(self, lane: str) -> JobId | None:
        """The job that holds the slot which a run in the lane waits for."""
        same = [key for key, other in self._at_work.items() if other == lane]
        if self._is_full(lane, len(same)):
            return same[0].job
        return next((key.job for key in self._at_work), None) if not self.has_room() else None

    def _is_full(self, lane: str, count: int) -> bool:
        limit = self._limits(lane)
        return limit is not None and count >= limit
