"""Processes: what each program of a fleet costs, from /proc."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_PROGRAMS = {"beam.smp": "broker", "redis-server": "broker", "postgres": "database"}
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Role:
    """A process, and which program of the fleet it is."""

    name: str  # up, server, coordinator, nursery, worker, host, runner, broker, database, …
    process: psutil.Process


def family() -> list[Role]:
    """The process itself and all its descendants."""
    return list(_roles(psutil.Process(), "client"))


def _roles(process: psutil.Process, name: str) -> Iterator[Role]:
    yield Role(name, process)
    try:
        children = process.children()
    except psutil.NoSuchProcess:
        return
    for child in children:
        try:
            yield from _roles(child, _name(child, name))
        except psutil.NoSuchProcess:
            continue


def _name(child: psutil.Process, parent: str) -> str:
    """Forked programs look like their parent; then the parent tells what they are."""
    words = child.cmdline()
    programs = [word.rpartition(".")[2] for word in words if word.startswith("fleetjobs.programs.")]
    program = programs[0] if programs else _PROGRAMS.get(child.name(), "other")
    match parent, program:
        case (("broker" | "database"), _):
            return parent
        case "up", "up":
            return "host"
        case "nursery", "nursery":
            return "worker"
        case (("host" | "runner"), _):
            return "runner"
        case "client", "other":
            return "celery"
        case _:
            return program


def cpu_seconds(roles: list[Role]) -> dict[str, float]:
    """Seconds of CPU so far by program, with those of children that have ended."""
    found: dict[str, float] = defaultdict(float)
    for role in roles:
        try:
            times = role.process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        found[role.name] += times.user + times.system
        if role.name != "client":
            found[role.name] += times.children_user + times.children_system
    return found


def cpu_ms(before: dict[str, float], after: dict[str, float], times: int) -> str:
    """What one of so many times cost between two accounts, in words."""
    used = {name: (after[name] - before.get(name, 0.0)) / times * 1000 for name in after}
    parts = [
        f"{name} {each:.2f}"
        for name, each in sorted(used.items(), key=lambda item: -item[1])
        if each > 0
    ]
    return f"{sum(used.values()):.2f} = {', '.join(parts)}"


def pss_mib(process: psutil.Process) -> float:
    """Its proportional share of memory: what it shares counts divided by the sharers."""
    for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / _MIB
    raise OSError(f"no Pss of {process.pid}")
