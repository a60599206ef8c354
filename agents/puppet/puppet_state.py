"""Puppet state: the files in which Puppet keeps whether it may run, does run, and what it did."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from puppet_runs import ask

from fleetjobs.agent import Fail

SETTINGS = ("agent_disabled_lockfile", "agent_catalog_run_lockfile", "lastrunfile")


@dataclass(frozen=True, slots=True)
class State:
    """Where those files are; none of them has to exist."""

    disabled: Path
    at_work: Path
    summary: Path

    @classmethod
    def find(cls) -> "State":
        """Ask puppet. Raises Fail if it does not say."""
        answer = ask("config", "print", "--section", "agent", *SETTINGS)
        told = dict(line.split(" = ", 1) for line in answer.splitlines() if " = " in line)
        if not set(SETTINGS) <= set(told):
            raise Fail(f"puppet does not say where its state is, but {answer[:200]!r}")
        return cls(*(Path(told[name]) for name in SETTINGS))

    def look(self) -> dict[str, Any]:
        """How Puppet stands, as the action `status` replies it."""
        lastrun = int(read_summary(self.summary).get("time", {}).get("last_run", 0))
        enabled, applying = not self.disabled.exists(), _is_alive(self.at_work)
        words = "applying a catalog" if applying else "idling" if enabled else "disabled"
        return {
            "enabled": enabled,
            "disable_message": _reason(self.disabled),
            "applying": applying,
            "status": words,
            "lastrun": lastrun,
            "since_lastrun": max(int(time.time()) - lastrun, 0) if lastrun else 0,
        }


def read_summary(path: Path) -> dict[str, Any]:
    """What Puppet wrote about its last run; empty if it has not run, or is just writing."""
    try:
        found = yaml.safe_load(path.read_text())
    except (FileNotFoundError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def count_resources(summary: dict[str, Any]) -> dict[str, int]:
    """How many resources there were, and what became of them."""
    resources = summary.get("resources", {})
    return {
        f"{said}_resources": int(resources.get(name, 0))
        for said, name in (
            ("total", "total"),
            ("changed", "changed"),
            ("failed", "failed"),
            ("out_of_sync", "out_of_sync"),
        )
    }


def _reason(lock: Path) -> str:
    try:
        return str(json.loads(lock.read_text()).get("disabled_message", ""))
    except (OSError, ValueError, AttributeError):  # an empty file disables it, too
        return ""


def _is_alive(lock: Path) -> bool:
    """Whether the process that the lock names is there; a killed one leaves its lock behind."""
    try:
        os.kill(int(lock.read_text()), 0)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True
