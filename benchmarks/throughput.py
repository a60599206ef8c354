"""Throughput: many trivial runs at once, what each costs, and how soon one alone is done.

    python -m benchmarks.throughput [--broker redis] [--nodes 10] [--runs 10000] [--at-once 100]

Jobs of one run per node are submitted and left alone; then each run must have succeeded. CPU is
that of all programs, from /proc. fsyncs are counted by strace on a smaller sample, because it
slows everything. The shell action is timed on an idle fleet, against its program by itself.
"""

import argparse
import json
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.desk import Desk
from benchmarks.fanout import BROKERS
from benchmarks.processes import cpu_ms, cpu_seconds, family
from fleetjobs.client.jobs import Job
from fleetjobs.client.rpc import RpcClient, rpcclient
from tests.makers import demo_interface

SYNCS = "fsync,fdatasync,sync_file_range,msync"
SHELL = "shell"  #: identity of the node with the shell agent
PROGRAM = """#!/bin/sh
echo '{"data": {}}' >"$FLEETJOBS_REPLY"
"""
PATIENCE_S = 1800


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure throughput.")
    parser.add_argument("--broker", default="redis", choices=BROKERS)
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--sample", type=int, default=200, help="runs for counting fsyncs")
    parser.add_argument("--rounds", type=int, default=25, help="of the shell action")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="fleetjobs-bench-") as directory,
        BROKERS[options.broker](Path(directory) / "broker") as server,
        Desk(server.url, options.nodes) as desk,
    ):
        measure_shell(desk, Path(directory), options.rounds)
        client = rpcclient("demo", nodes=desk.nodes, config=desk.config)
        finish(client, 5 * options.nodes)  # warm up
        measure_syncs(client, options.sample)
        measure_runs(client, options.runs)


def finish(client: RpcClient, runs: int, within: float = PATIENCE_S) -> float:
    """Submit that many runs; seconds until the last has succeeded. Raises RuntimeError."""
    started = time.perf_counter()
    jobs: list[Job] = []
    while sum(job.nodes for job in jobs) < runs:
        jobs.append(client.submit("echo", text="a"))
    print(f"  all submitted after {time.perf_counter() - started:.1f} s", flush=True)
    for job in jobs:
        job.wait(started + within - time.perf_counter())
    seconds = time.perf_counter() - started
    tally = Counter(run["state"] for job in jobs for run in job.runs())
    if set(tally) != {"succeeded"}:
        raise RuntimeError(f"not all succeeded within {within:.0f} s: {dict(tally)}")
    return seconds


def measure_runs(client: RpcClient, runs: int) -> None:
    """Print runs per second and the CPU that a run costs, by program."""
    roles = family()
    before = cpu_seconds(roles)
    seconds = finish(client, runs)
    print(f"{runs} runs in {seconds:.1f} s: {runs / seconds:.0f} runs/s, all succeeded")
    print("CPU ms per run:", cpu_ms(before, cpu_seconds(roles), runs), flush=True)


def measure_syncs(client: RpcClient, runs: int) -> None:
    """Print how often a run makes somebody wait for the disk, by program."""
    if shutil.which("strace") is None:
        print("fsyncs: not counted, there is no strace")
        return
    with tempfile.TemporaryDirectory(prefix="fleetjobs-bench-") as directory:
        log = Path(directory) / "log"
        names = {role.process.pid: role.name for role in family()}
        with _traced(names, log):
            finish(client, runs)
        calls = re.findall(r"^(\d+) +(?:\w*sync\w*)\(", log.read_text(), re.MULTILINE)
    threads = {thread: name for pid, name in names.items() for thread in _threads(pid)}
    counted = Counter(threads.get(int(pid), "runner") for pid in calls)
    parts = [f"{name} {each / runs:.2f}" for name, each in counted.most_common()]
    print(f"fsyncs per run: {counted.total() / runs:.2f} =", ", ".join(parts), flush=True)


@contextmanager
def _traced(names: dict[int, str], log: Path) -> Iterator[None]:
    """While strace writes each fsync of all programs but ours into the log."""
    pids = [str(pid) for pid, name in names.items() if name != "client"]
    argv = ["strace", "-f", "-q", "-e", f"trace={SYNCS}", "-o", str(log)]
    argv += [word for pid in pids for word in ("-p", pid)]
    strace = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    time.sleep(2)  # until it is attached everywhere, which nothing tells
    try:
        yield
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait(30)


def _threads(pid: int) -> list[int]:
    try:
        return [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
    except FileNotFoundError:
        return []


def measure_shell(desk: Desk, directory: Path, rounds: int) -> None:
    """Print how much longer than its program a shell action takes, from call to reply."""
    program = write_shell_agent(directory / "agents")
    desk.add_node(SHELL, directory / "agents")
    client = rpcclient("shell", nodes=[SHELL], config=desk.config)
    calls, alone = [], []
    for _ in range(rounds + 2):
        calls.append(_time_call(client))
        alone.append(_time_program(program, directory))
        time.sleep(0.1)  # an idle fleet
    call, own = (statistics.median(times[2:]) * 1000 for times in (calls, alone))
    print(f"a shell action: {call:.1f} ms, its program {own:.1f} ms, beyond it {call - own:.1f} ms")


def write_shell_agent(agents: Path) -> Path:
    """An agent that replies at once; its program."""
    document = demo_interface()
    document["metadata"]["name"] = "shell"
    document["actions"][0]["input"] = {}
    del document["fleetjobs"]
    place = agents / "shell"
    place.mkdir(parents=True)
    (place / "shell.json").write_text(json.dumps(document))
    (place / "shell").write_text(PROGRAM)
    (place / "shell").chmod(0o755)
    return place / "shell"


def _time_call(client: RpcClient) -> float:
    started = time.perf_counter()
    replies = list(client.action("echo")())
    seconds = time.perf_counter() - started
    if [reply.statuscode for reply in replies] != [0]:
        raise RuntimeError(f"the shell action failed: {replies}")
    return seconds


def _time_program(program: Path, directory: Path) -> float:
    started = time.perf_counter()
    subprocess.run([program], env={"FLEETJOBS_REPLY": str(directory / "reply")}, check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
