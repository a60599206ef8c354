"""Standing: how a service stands."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """Whether a service runs."""

    RUNNING = "running"
    STOPPED = "stopped"
    STARTING = "starting"
    STOPPING = "stopping"
    FAILED = "failed"  # it should run, or left a trace that it did
    UNKNOWN = "unknown"  # there is no telling


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a service stands."""

    status: Status
    enabled: bool | None  # None: there is no telling, or no choice
    ends: bool = False  # it does its work and ends; that it is stopped then is no failure
