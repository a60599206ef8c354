"""Later: an agent whose actions are jobs, to be looked at another time.

job = rpcclient("puppet").schedule(at="tomorrow 4am").runonce(forcerun=True)
"""

from collections.abc import Callable, Mapping
from typing import Any

from fleetjobs.client.conditions import Conditions, Moment
from fleetjobs.client.jobs import Job
from fleetjobs.errors import InvalidTime

BACKGROUND = "background"  #: at once, and nobody waits

Ask = Callable[[str, Mapping[str, Any], Conditions], Job]


class Later:
    """One agent on one target, under conditions. Any name on it is an action; it gives a Job."""

    def __init__(self, ask: Ask, conditions: Conditions) -> None:
        """Ask by that function."""
        self._ask = ask
        self._conditions = conditions

    def __getattr__(self, name: str) -> Callable[..., Job]:
        """The action of that name."""
        if name.startswith("_"):
            raise AttributeError(name)
        return self.action(name)

    def action(self, name: str) -> Callable[..., Job]:
        """The action of that name, also one named like a method."""

        def ask(**inputs: Any) -> Job:
            return self._ask(name, inputs, self._conditions)

        return ask


def read_schedule(schedule: object) -> dict[str, Any]:
    """What `schedule=` of a call says, as conditions. Raises InvalidTime.

    `"background"`, a time, or several of them by name: {"at": "04:00", "after": job}.
    """
    if schedule == BACKGROUND or schedule is True:
        return {}
    if isinstance(schedule, Mapping):
        known = {"at", "delay", "after", "start_before", "retries", "priority", "splay"}
        if unknown := sorted(set(schedule) - known):
            raise InvalidTime(f"schedule has no {unknown[0]!r}; it has {', '.join(sorted(known))}")
        return dict(schedule)
    if isinstance(schedule, Moment):
        return {"at": schedule}
    raise InvalidTime(f"{schedule!r} is no schedule; write 'background' or a time")
