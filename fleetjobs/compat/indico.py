"""Indico's scheduler, as programs written for it know it; on a fleet.

    from fleetjobs.compat.indico import Client, SampleOneShotTask, SamplePeriodicTask, dbi, nowutc

    c = Client()
    c.enqueue(SampleOneShotTask(nowutc() + timedelta(seconds=1)))

Tasks become jobs of the agent `indico` on one node, periodic ones schedules. The scheduler itself
is the coordinator: `python -m fleetjobs.compat.indico --config FILE`, whose table `[scheduler]`
takes the options that the constructor of `Scheduler` takes.
"""

import argparse
import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fleetjobs.client.fleet import Fleet
from fleetjobs.client.replies import Document
from fleetjobs.clocks import now
from fleetjobs.compat.tasks import (
    BaseTask,
    ConfigError,
    OneShotTask,
    PeriodicTask,
    SampleOneShotTask,
    SamplePeriodicTask,
    TaskDelayed,
    TaskStatus,
    name_of,
    values_of,
)
from fleetjobs.errors import NotFound
from fleetjobs.states import Reason, State, WaitReason

__all__ = [
    "BaseTask",
    "Client",
    "ConfigError",
    "OneShotTask",
    "PeriodicTask",
    "SampleOneShotTask",
    "SamplePeriodicTask",
    "Scheduler",
    "TaskDelayed",
    "TaskStatus",
    "dbi",
    "nowutc",
]
AGENT = "indico"
CONTROLLER = "@controller"  #: the server's own node, taken if it is there
NODE = "FLEETJOBS_INDICO_NODE"  #: environment: on which node tasks run
_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY")
_HOURLY, _MINUTELY = _FREQUENCIES.index("HOURLY"), _FREQUENCIES.index("MINUTELY")
_LISTS = {
    "bysetpos": "BYSETPOS",
    "bymonth": "BYMONTH",
    "bymonthday": "BYMONTHDAY",
    "byyearday": "BYYEARDAY",
    "byweekno": "BYWEEKNO",
    "byhour": "BYHOUR",
    "byminute": "BYMINUTE",
    "byweekday": "BYDAY",
}
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_MODES = ("processes", "threads")

nowutc = now  #: the time, aware


class _Database:
    """Indico's programs commit what they enqueued; here it is durable already."""

    def commit(self) -> None:
        """Nothing is left to do."""


dbi = _Database()


class Client:
    """Hands tasks in, and asks after them. Raises Problem, ServerAway."""

    def __init__(
        self, fleet: Fleet | None = None, *, node: str | None = None, task_max_tries: int = 1
    ) -> None:
        """Without a fleet the one that `fj` asks; without a node the server's own, or the first."""
        self._fleet = fleet or Fleet.connect()
        self._node = node or os.environ.get(NODE)
        self._retries = task_max_tries - 1

    def enqueue(self, task: BaseTask) -> bool:
        """Have it done, once or again and again; True, or an exception."""
        call: dict[str, Any] = {
            "agent": AGENT,
            "action": "run",
            "data": {"task": name_of(task), "values": values_of(task)},
            "target": {"identities": [self._where()]},
            "retries": self._retries,
        }
        if isinstance(task, PeriodicTask):
            rule, begin = read_rule(task.frequency, task.rule, now())
            name = type(task).__name__
            wish = {"label": f"{name}-{os.urandom(4).hex()}", "work": {"call": call}, "rule": rule}
            found = self._fleet.tell("schedules", wish=wish | begin)
        else:
            times = {"not_before": getattr(task, "start", None), "start_before": task.expiry_date}
            wish = call | {name: _text(at) for name, at in times.items() if at is not None}
            found = self._fleet.tell("jobs", wish=wish)
        task.id = found["id"]
        task.status = TaskStatus.SPOOLED
        return True

    def dequeue(self, task: BaseTask) -> None:
        """Have it not done any more; what runs of a periodic one goes on."""
        if task.id is None:
            raise NotFound("the task was never enqueued")
        if isinstance(task, PeriodicTask):
            self._fleet.transport.send("DELETE", "schedules", task.id, body=b"")
        else:
            self._fleet.tell("jobs", task.id, "cancel")
        task.status = TaskStatus.ABORTED

    def moveTask(self, task: BaseTask, date: datetime) -> None:  # noqa: N802  as it was called
        """Have a task that has not begun done at another time."""
        if isinstance(task, PeriodicTask) or task.id is None:
            raise ConfigError("only a task that is done once, and was enqueued, can be moved")
        wish = {"not_before": _text(date)}
        self._fleet.tell("jobs", task.id, method="PATCH", wish=wish)

    def startFailedTask(self, task: BaseTask) -> None:  # noqa: N802  as it was called
        """Have it done once more; the task then is the new one."""
        task.id = self._fleet.tell("jobs", str(task.id), "rerun")["id"]

    def refresh(self, task: BaseTask) -> TaskStatus:
        """Look where the task stands; of a periodic one, where its newest job does."""
        found: Document | None = None
        if isinstance(task, PeriodicTask):
            query = [("schedule", task.id), ("limit", 1)]
            found = next(iter(self._fleet.jobs(query, most=1)), None)
            task.status = TaskStatus.QUEUED if found is None else status_of(found)
        elif task.id is not None:
            task.status = status_of(self._fleet.job(task.id))
        return task.status

    def getStatus(self) -> Document:  # noqa: N802  as it was called
        """How the scheduler is: its state, host and pid, and how many tasks stand where."""
        return self._fleet.status()

    def shutdown(self, msg: str = "") -> bool:
        """Let the scheduler end; what runs goes on."""
        self._fleet.tell("coordinator", "stop", wish={"message": msg})
        return True

    def _where(self) -> str:
        """The node on which tasks run. Raises ConfigError if none has the agent."""
        if self._node is None:
            ours, agent = [("identity", CONTROLLER)], ("agent", AGENT)
            for query in ([*ours, agent], [agent]):  # a list without its name leaves it out
                found = sorted(node["identity"] for node in self._fleet.pages("nodes", query=query))
                if found:
                    self._node = str(found[0])
                    return self._node
            raise ConfigError(f"no node has the agent {AGENT}")
        return self._node


def read_rule(
    frequency: int, given: Mapping[str, Any], at: datetime
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What rrule's arguments say, as a schedule's rule and bounds. Raises ConfigError naming it."""
    if frequency not in range(len(_FREQUENCIES)):
        raise ConfigError(f"frequency {frequency!r} is none of {', '.join(_FREQUENCIES)}")
    parts = [f"FREQ={_FREQUENCIES[frequency]}"]
    begin, bounds = _utc(given.get("dtstart") or at), {}
    for name, value in given.items():
        match name:
            case _ if value is None:
                continue
            case "dtstart":
                pass
            case "bysecond":
                parts += _times_of(frequency, given, begin)
                minutes = int(given.get("interval") or 1) if frequency == _MINUTELY else 1
                begin = _at_second(begin, value, minutes)
            case "interval" | "count":
                parts.append(f"{name.upper()}={int(value)}")
            case "until":
                parts.append(f"UNTIL={_utc(value):%Y%m%dT%H%M%SZ}")
            case "wkst":
                parts.append(f"WKST={_day(value)}")
            case _ if name in _LISTS:
                parts.append(f"{_LISTS[name]}={','.join(map(_day_of(name), _several(value)))}")
            case _:
                raise ConfigError(f"{name}: no schedule knows that")
    bounds["active_from"] = _text(begin)
    return {"rrule": ";".join(parts)}, bounds


def _times_of(frequency: int, given: Mapping[str, Any], begin: datetime) -> list[str]:
    """The hour and minute that the beginning says, written down before it moves. RFC 5545."""
    hour = [f"BYHOUR={begin.hour}"] if frequency < _HOURLY and given.get("byhour") is None else []
    minute = [f"BYMINUTE={begin.minute}"] if given.get("byminute") is None else []
    return [*hour, *minute] if frequency < _MINUTELY else []


def _at_second(begin: datetime, value: Any, minutes: int) -> datetime:
    """The first moment with that second: rules here have none, and take their beginning's.

    So many minutes later if it has begun already.
    """
    seconds = _several(value)
    if len(seconds) != 1 or seconds[0] not in range(60):
        raise ConfigError(f"bysecond={value!r}: give one second, 0 to 59")
    there = begin.replace(second=seconds[0], microsecond=0)
    return there if there >= begin else there + timedelta(minutes=minutes)


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _day_of(name: str) -> Any:
    return _day if name == "byweekday" else lambda value: str(int(value))


def _day(value: Any) -> str:
    """A weekday as rrule has it: 0 to 6, or such as FR(-1)."""
    number = getattr(value, "n", None)
    return f"{number or ''}{_DAYS[int(getattr(value, 'weekday', value))]}"


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _text(moment: datetime) -> str:
    return _utc(moment).isoformat()


def status_of(job: Document) -> TaskStatus:
    """Where the task of a job stands."""
    state = State(job["state"])
    if job["reason"] == Reason.LOST and state in {State.FAILED, State.PAUSED}:
        return TaskStatus.TERMINATED
    if state is State.WAITING and job["wait_reason"] == WaitReason.OUTBOX:
        return TaskStatus.SPOOLED
    return _STATUSES.get(state, TaskStatus.QUEUED)


_STATUSES = {
    State.SUCCEEDED: TaskStatus.FINISHED,
    State.FAILED: TaskStatus.FAILED,
    State.EXPIRED: TaskStatus.FAILED,
    State.CANCELLED: TaskStatus.ABORTED,
    State.SKIPPED: TaskStatus.ABORTED,
    State.RUNNING: TaskStatus.RUNNING,
    State.CANCELLING: TaskStatus.RUNNING,
    State.REVERTING: TaskStatus.RUNNING,
}


@dataclass(frozen=True, slots=True)
class Options:
    """What the scheduler was told."""

    sleep_interval: float = 1.0  # seconds; it looks at once when something is due, and so often
    task_max_tries: int = 1
    multitask_mode: str = "processes"  # of both: each task is a process of its own


class Scheduler:
    """The scheduler's options, and the way to run it."""

    def __init__(self, **options: Any) -> None:
        """Raises ConfigError naming an option that is unknown or not possible."""
        known = ", ".join(Options.__slots__)
        for name in options:
            if name not in Options.__slots__:
                raise ConfigError(f"{name}: no such option; there are {known}")
        found = Options(**options)
        if found.multitask_mode not in _MODES:
            raise ConfigError(f"multitask_mode={found.multitask_mode!r}: {' or '.join(_MODES)}")
        for name, least in (("sleep_interval", 0.1), ("task_max_tries", 1)):
            value = getattr(found, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
                raise ConfigError(f"{name}={value!r}: a number from {least:g} on")
        self.options = found

    def client(self, fleet: Fleet | None = None) -> Client:
        """A client whose tasks are tried as often as it says."""
        return Client(fleet, task_max_tries=int(self.options.task_max_tries))

    def run(self, coordinator: Path) -> None:
        """Become the coordinator of that settings file."""
        program = [sys.executable, "-m", "fleetjobs.programs.coordinator"]
        os.execv(program[0], [*program, "--config", str(coordinator)])  # noqa: S606  it is ours


def read_config(path: Path) -> tuple[Scheduler, Path]:
    """The scheduler of a file's table `[scheduler]`, and the coordinator's settings it names."""
    try:
        table = dict(tomllib.loads(path.read_text(encoding="utf-8")).get("scheduler", {}))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from None
    coordinator = path.parent / str(table.pop("coordinator", "coordinator.toml"))
    return Scheduler(**table), coordinator


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scheduler of a file; 2 if it says what cannot be."""
    parser = argparse.ArgumentParser(prog="python -m fleetjobs.compat.indico")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--check", action="store_true", help="only say whether it can be read")
    options = parser.parse_args(arguments)
    try:
        scheduler, coordinator = read_config(options.config)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if not options.check:
        scheduler.run(coordinator)
    return 0


if __name__ == "__main__":
    sys.exit(main())
