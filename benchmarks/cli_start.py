"""Command line: whole processes, from their start to their end, against a plain Celery script.

    python -m benchmarks.cli_start [--brokers rabbit redis] [--nodes 30] [--rounds 15]

`fj rpc rpcutil ping` starts, asks all nodes, prints what they replied and ends; the script does a
group over as many plain workers and prints what came back. They take turns on the same broker.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.desk import Desk, compiled
from benchmarks.fanout import BROKERS
from benchmarks.raw_celery import RawFleet

WARM_UP = 2  #: rounds that do not count
ASK = ("rpc", "rpcutil", "ping")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time whole commands.")
    parser.add_argument("--brokers", nargs="+", default=list(BROKERS), choices=BROKERS)
    parser.add_argument("--nodes", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print(f"{'broker':8} {'command':32} {'ms':>8} {'CPU ms':>8}")
    for broker in options.brokers:
        measure(broker, options.nodes, options.rounds)


def measure(broker: str, nodes: int, rounds: int) -> None:
    """Print a row for each command, and the ratio of the two that do the same."""
    with (
        tempfile.TemporaryDirectory(prefix="fleetjobs-bench-") as directory,
        BROKERS[broker](Path(directory)) as server,
        RawFleet(server.url, nodes),
        Desk(server.url, nodes) as desk,
    ):
        script = [sys.executable, "-m", "benchmarks.raw_celery", server.url, str(nodes)]
        commands = {
            f"plain Celery, group of {nodes}": script,
            f"fj {' '.join(ASK)}": [_fj(), *ASK],
            "fj ping": [_fj(), "ping"],
            "fj job list": [_fj(), "job", "list"],
            "fj --help": [_fj(), "--help"],
            "python -c pass": [sys.executable, "-c", "pass"],
        }
        environment = compiled() | {"FLEETJOBS_CONFIG": str(desk.config)}
        found = _in_turns(commands, environment, rounds)
    for name, (wall, cpu) in found.items():
        print(f"{broker:8} {name:32} {wall:8.0f} {cpu:8.0f}")
    theirs, ours = list(found.values())[:2]
    print(f"{broker:8} ratio of fj {' '.join(ASK)} to plain Celery: {ours[0] / theirs[0]:.2f}")


def _in_turns(
    commands: dict[str, list[str]], environment: dict[str, str], rounds: int
) -> dict[str, tuple[float, float]]:
    """Medians by command: milliseconds from start to end, and of CPU."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for number in range(rounds + WARM_UP):
        for name, argv in commands.items():
            taken = timed(lambda argv=argv: _run(argv, environment))  # type: ignore[misc]  # its default is a list of words
            if number >= WARM_UP:
                times[name].append(taken)
    return {
        name: (
            statistics.median(wall for wall, _ in all_),
            statistics.median(cpu for _, cpu in all_),
        )
        for name, all_ in times.items()
    }


def timed(run: Callable[[], None]) -> tuple[float, float]:
    """Milliseconds that it took, and of CPU that its processes did."""
    before, started = os.times(), time.perf_counter()
    run()
    wall, after = time.perf_counter() - started, os.times()
    cpu = after.children_user + after.children_system
    return wall * 1000, (cpu - before.children_user - before.children_system) * 1000


def _run(argv: Sequence[str], environment: dict[str, str]) -> None:
    subprocess.run(argv, env=environment, check=True, stdout=subprocess.DEVNULL)


def _fj() -> str:
    """The command that was installed beside this Python."""
    return str(Path(sys.executable).with_name("fj"))


if __name__ == "__main__":
    main()
