"""Tasks as Indico's scheduler had them: classes with a `run`; standard library only.

    class Report(OneShotTask):
        def run(self):
            ...

They run on a node, by the agent `indico`, under the name `module:Class`, and carry along what they
hold: its values have to be JSON.
"""

import importlib
import json
import logging
import time
from datetime import datetime
from enum import StrEnum
from typing import Any


class ConfigError(ValueError):
    """An option that is unknown, or a value that is not possible; names it."""


class TaskDelayed(Exception):
    """Raised by `run`: it is too early; try again after so many seconds. Costs no try."""

    def __init__(self, delay_seconds: float) -> None:
        """Keep the time."""
        super().__init__(f"to be tried again in {delay_seconds:g} s")
        self.delay_seconds = delay_seconds


class TaskStatus(StrEnum):
    """Where a task stands."""

    NONE = "NONE"  # nobody was asked for it yet
    SPOOLED = "SPOOLED"  # accepted, not handed over
    QUEUED = "QUEUED"  # it waits
    RUNNING = "RUNNING"
    FAILED = "FAILED"
    ABORTED = "ABORTED"  # it was called off
    FINISHED = "FINISHED"
    TERMINATED = "TERMINATED"  # its node was lost


class BaseTask:
    """Something that is done on a node: override `run`."""

    def __init__(self, expiry_date: datetime | None = None) -> None:
        """It does not begin after `expiry_date`."""
        self.id: str | None = None  # once it was handed in
        self.status = TaskStatus.NONE
        self.expiry_date = expiry_date

    def run(self) -> None:
        """What is done."""
        raise NotImplementedError(f"{type(self).__name__} has no run()")

    def getLogger(self) -> logging.Logger:  # noqa: N802  as it was called there
        """Writes to the run's log."""
        return logging.getLogger(f"task/{type(self).__name__}")

    def getId(self) -> str | None:  # noqa: N802  as it was called there
        """Its id; None before it was handed in."""
        return self.id

    def getStatus(self) -> TaskStatus:  # noqa: N802  as it was called there
        """Where it stood when it was looked at last."""
        return self.status


class OneShotTask(BaseTask):
    """Done once, at a time; at once if none is given."""

    def __init__(
        self,
        start: datetime | None = None,
        expiryDate: datetime | None = None,  # noqa: N803  as there
    ) -> None:
        """Times without a zone are UTC."""
        super().__init__(expiryDate)
        self.start = start


class PeriodicTask(BaseTask):
    """Done again and again, by what `dateutil.rrule.rrule` takes: a frequency and keywords."""

    def __init__(self, frequency: int, **rule: Any) -> None:
        """`frequency` is rrule.YEARLY to rrule.MINUTELY."""
        super().__init__()
        self.frequency = frequency
        self.rule = rule


class SampleOneShotTask(OneShotTask):
    """Takes a second."""

    def run(self) -> None:
        """Say so."""
        self.getLogger().info("a second passes")
        time.sleep(1)


class SamplePeriodicTask(PeriodicTask):
    """Takes a second, each time."""

    def run(self) -> None:
        """Say so."""
        self.getLogger().info("another second passes")
        time.sleep(1)


_OURS = frozenset({"id", "status", "expiry_date", "start", "frequency", "rule"})


def name_of(task: BaseTask) -> str:
    """By which a node finds its class. Raises ConfigError for one that has no such name."""
    kind = type(task)
    if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
        raise ConfigError(
            f"{kind.__qualname__} of {kind.__module__}: put the class into a module that the node"
            " can import"
        )
    return f"{kind.__module__}:{kind.__qualname__}"


def values_of(task: BaseTask) -> dict[str, Any]:
    """What it holds of its own. Raises ConfigError naming what is no JSON."""
    values = {name: value for name, value in vars(task).items() if name not in _OURS}
    for name, value in values.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{name} of {type(task).__name__} cannot travel: {error}") from None
    return values


def revive(name: str, values: dict[str, Any]) -> BaseTask:
    """The task of that name, on its node. Raises ConfigError, ImportError."""
    module, _, kind = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in kind.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, BaseTask)):
        raise ConfigError(f"{name} is no task")
    task = found.__new__(found)
    BaseTask.__init__(task)
    vars(task).update(values)
    return task
