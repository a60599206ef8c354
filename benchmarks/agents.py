"""Agents: what a run costs on a node, beside what starting its program costs anyway.

python -m benchmarks.agents [--runs 100] [--rounds 5] [--directory /var/tmp]

CPU of all processes, user and system, from the kernel's own count of ended children: the worker's
part (here: this process), the runner host, and the runners with their programs. The programs run
by themselves, by fork and exec as the runner does it, are the baseline, measured in the same round.
Making a file costs 10 us on an idle disk and 500 where thousands were just removed: see
`--directory`.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil

from fleetjobs import agent as python
from tests.workbench import Desk, write_agent

PROGRAM = "#!/bin/sh\necho '{}' > \"$FLEETJOBS_REPLY\"\n"
MODULE = """
from fleetjobs.agent import Agent, action
class Snake(Agent):
    @action
    def do(self, text):
        pass
"""


def main() -> None:
    """Print a row for each kind of agent."""
    parser = argparse.ArgumentParser(description="Measure what a run costs on a node.")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", help="where the node keeps its things")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fleetjobs-bench-", dir=options.directory) as directory:
        desk = Desk(Path(directory))
        write_agent(desk.agents, "shell", program=PROGRAM)
        write_agent(desk.agents, "snake", module=MODULE)
        for agent in ("shell", "snake"):
            desk.do(agent=agent)
        print("milliseconds of CPU per run, medians of the rounds")
        print(f"{'agent':8} {'worker':>8} {'runners':>8} {'alone':>8} {'ours':>8}")
        for agent, alone in (("shell", _exec(desk)), ("snake", _fork(desk))):
            rows = [_round(desk, agent, alone, options.runs) for _ in range(options.rounds)]
            worker, runners, baseline = (
                statistics.median(column) for column in zip(*rows, strict=True)
            )
            ours = statistics.median(w + r - b for w, r, b in rows)
            print(f"{agent:8} {worker:8.2f} {runners:8.2f} {baseline:8.2f} {ours:8.2f}")
        desk.close()


def _round(
    desk: Desk, agent: str, alone: Callable[[], None], runs: int
) -> tuple[float, float, float]:
    host = psutil.Process(desk.host._process.pid)  # noqa: SLF001  nobody else needs its pid
    ours, theirs = _own(), _of(host)
    for _ in range(runs):
        run = desk.accept(agent=agent)
        while not run.is_settled:
            desk.launcher.step()
            desk.launcher.wait(1)
    desk.drive(lambda: desk.launcher.running == 0)
    worker, runners = _own() - ours, _of(host) - theirs
    before = _children()
    for _ in range(runs):
        alone()
    baseline = _children() - before
    return tuple(seconds / runs * 1000 for seconds in (worker, runners, baseline))  # type: ignore[return-value]


def _own() -> float:
    times = os.times()
    return times.user + times.system


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _of(process: psutil.Process) -> float:
    """With all that it has waited for: runners, and through them their programs."""
    times = process.cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def _exec(desk: Desk) -> Callable[[], None]:
    """The shell program as it is, from a fork of this process."""
    program = str(desk.agents / "shell" / "shell")
    reply = str(desk.root / "alone.json")

    def act() -> None:
        pid = os.posix_spawn(program, [program], {"FLEETJOBS_REPLY": reply})
        os.waitpid(pid, 0)

    return act


def _fork(desk: Desk) -> Callable[[], None]:
    """The Python agent in a fork of a small process: load, act, write the reply."""
    request = desk.root / "alone-request.json"
    request.write_text(json.dumps({"action": "do", "data": {"text": "hello"}}))
    environment = {
        "FLEETJOBS_REQUEST": str(request),
        "FLEETJOBS_REPLY": str(desk.root / "alone.json"),
    }
    module = desk.agents / "snake" / "snake.py"

    def act() -> None:
        pid = os.fork()
        if pid == 0:
            python.serve(python.load(module), environment)
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(pid, 0)

    return act


if __name__ == "__main__":
    main()
