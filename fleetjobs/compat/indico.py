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
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fleetjobs.client.fleet import Fleet
from fleetjobs.client.replies import Document
from fleetjobs.clocks import now
from fleetjobs.compat.recurrence import read_rule, utc_text
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
            wish = call | {name: utc_text(at) for name, at in times.items() if at is not None}
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
        wish = {"not_before": utc_text(date)}
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
        program = [sys.executable, "-P", "-m", "fleetjobs.programs.coordinator"]
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
