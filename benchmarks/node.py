"""Node: keep a run durably, act on it in a process of its own; milliseconds, without a broker.

python -m benchmarks.node [--runs 100] [--finished 10000]

A start looks through the spool once: `--finished` runs that ended and were told of lie in it.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from fleetjobs.spool.attempts import RunKey
from fleetjobs.spool.pruning import Pruner
from fleetjobs.spool.seen import Seen
from tests.workbench import Desk, make_key, now, seal_run, write_agent

PROGRAM = "#!/bin/sh\necho '{}' > \"$FLEETJOBS_REPLY\"\n"
MODULE = """
from fleetjobs.agent import Agent, action
class Snake(Agent):
    @action
    def do(self, text):
        pass
"""


def main() -> None:
    """Print a row for each thing measured."""
    parser = argparse.ArgumentParser(description="Measure a node.")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--finished", type=int, default=10_000)
    options = parser.parse_args()
    runs = options.runs
    with tempfile.TemporaryDirectory(prefix="fleetjobs-bench-") as directory:
        desk = Desk(Path(directory))
        write_agent(desk.agents, "shell", program=PROGRAM)
        write_agent(desk.agents, "snake", module=MODULE)
        desk.do()
        print(f"{'milliseconds':28} {'min':>7} {'median':>7} {'worst':>7}")
        for agent in ("shell", "snake"):
            _print(f"{agent}: accepted to reply", _times(runs, lambda a=agent: _act(desk, a)))
        sealed = [(make_key(), *seal_run(make_key())) for _ in range(runs)]
        _print("keep a run, durably", _times(runs, lambda: _keep(desk, sealed.pop())))
        began = time.perf_counter()
        desk.drive(lambda: desk.launcher.waiting == desk.launcher.running == 0, within=600)
        print(f"\n{runs / (time.perf_counter() - began):.0f} runs/s with {desk.slots} slots")
        print(f"{_host_memory(desk):.1f} MiB for the runner host")
        desk.close()
    _print_starts(options.finished)


def _print_starts(finished: int) -> None:
    with tempfile.TemporaryDirectory(prefix="fleetjobs-bench-") as directory:
        desk = Desk(Path(directory))
        write_agent(desk.agents, "shell", program=PROGRAM)
        model = desk.accept()
        desk.reply(model)
        for entry in desk.spool.outbox():
            desk.spool.confirm(entry)
        empty = statistics.median(_times(5, lambda: _start(desk)))
        for _ in range(finished):
            shutil.copytree(model.path, model.path.with_name(str(make_key())))
        full = statistics.median(_times(5, lambda: _start(desk)))
        (pruned,) = _times(1, lambda: _prune(desk))
        desk.close()
    print(
        f"\na start takes {empty:.0f} ms, with {finished} finished runs {full - empty:.0f} ms more;"
    )
    print(f"the first look for what is old then takes {pruned:.0f} ms beside it")


def _start(desk: Desk) -> None:
    desk.close()
    desk.open()
    desk.launcher.step()


def _prune(desk: Desk) -> None:
    gone = Seen(desk.root / "gone", now, is_durable=True)
    keep = timedelta(days=7)
    Pruner(spool=desk.spool, gone=gone, clock=now, keep=keep, keep_bytes=2**40).step()


def _times(count: int, act: Callable[[], None]) -> list[float]:
    times = []
    for _ in range(count):
        began = time.perf_counter()
        act()
        times.append((time.perf_counter() - began) * 1000)
    return times


def _act(desk: Desk, agent: str) -> None:
    run = desk.accept(agent=agent)
    while not run.is_settled:
        desk.launcher.step()
        desk.launcher.wait(1)


def _keep(desk: Desk, sealed: tuple[RunKey, str, str]) -> None:
    key, delivery, request = sealed
    desk.spool.add(key, delivery=delivery, request=request, accepted_at=now())


def _host_memory(desk: Desk) -> float:
    process = desk.host._process  # noqa: SLF001  nobody else needs its pid
    lines = Path(f"/proc/{process.pid if process else 0}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _print(what: str, times: list[float]) -> None:
    print(f"{what:28} {min(times):7.2f} {statistics.median(times):7.2f} {max(times):7.2f}")


if __name__ == "__main__":
    main()
