"""Fan-out: an inline ping over N nodes, submit to last reply, against plain Celery.

    python -m benchmarks.fanout [--brokers rabbit redis] [--nodes 1 10 30 100] [--rounds 15] [--cpu]

Both fleets run at the same time on the same broker and take turns, so both see the same machine.
`--cpu` adds what each program costs per fan-out, beyond what it takes when idle.
"""

import argparse
import logging
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.desk import Desk
from benchmarks.processes import cpu_ms, cpu_seconds, family
from benchmarks.raw_celery import RawFleet
from fleetjobs.client.rpc import RpcClient, rpcclient
from tests.servers import Rabbit, Redis

IDLE_S = 5.0  #: how long nobody asks, to see what a fleet takes then
COUNTED = 300  #: pings whose CPU is counted, or more: it is told in steps of 10 ms
BROKERS = {"rabbit": Rabbit, "redis": Redis}


def connect(desk: Desk, nodes: int) -> RpcClient:
    """Who asks so many nodes."""
    client = rpcclient("rpcutil", nodes=desk.nodes[:nodes], config=desk.config)
    _ = client.interface  # fetched once by a program, however often it calls
    return client


def ping(client: RpcClient, nodes: int) -> float:
    """Seconds from submitting to the last reply at the client."""
    started = time.perf_counter()
    replies = list(client.ping())
    seconds = time.perf_counter() - started
    answered = [reply for reply in replies if reply.statuscode == 0]
    if len(answered) != nodes:
        raise RuntimeError(f"{len(answered)} of {nodes} nodes answered: {replies[:3]}")
    return seconds


def cost(desk: Desk, nodes: int, rounds: int) -> str:
    """Milliseconds of CPU per fan-out, by program, less what each takes while nobody asks."""
    client, roles = connect(desk, nodes), family()
    before = cpu_seconds(roles)
    time.sleep(IDLE_S)
    idle = {name: each - before.get(name, 0.0) for name, each in cpu_seconds(roles).items()}
    before, started = cpu_seconds(roles), time.monotonic()
    for _ in range(rounds):
        ping(client, nodes)
    share = (time.monotonic() - started) / IDLE_S
    after = cpu_seconds(roles)
    return cpu_ms(before, {name: after[name] - idle[name] * share for name in after}, rounds)


def measure(broker: str, sizes: list[int], rounds: int, *, cpu: bool) -> None:
    """Print a row for each size."""
    with (
        tempfile.TemporaryDirectory(prefix="fleetjobs-bench-") as directory,
        BROKERS[broker](Path(directory)) as server,
        RawFleet(server.url, max(sizes)) as raw,
        Desk(server.url, max(sizes)) as desk,
    ):
        for nodes in sizes:
            ours, theirs = [], []
            for number in range(rounds + 2):
                pair = ping(connect(desk, nodes), nodes), raw.ping(nodes)
                if number >= 2:  # noqa: PLR2004  the first two warm up
                    ours.append(pair[0])
                    theirs.append(pair[1])
            one, other = statistics.median(ours) * 1000, statistics.median(theirs) * 1000
            print(f"{broker:8} {nodes:5} {one:12.1f} {other:12.1f} {one / other:8.2f}", flush=True)
            if cpu:
                print(
                    "  CPU ms per fan-out:",
                    cost(desk, nodes, max(rounds * 2, COUNTED // nodes)),
                    flush=True,
                )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers", nargs="+", default=list(BROKERS), choices=BROKERS)
    parser.add_argument("--nodes", nargs="+", type=int, default=[1, 10, 30, 100])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cpu", action="store_true", help="also what each program costs")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    print(f"{'broker':8} {'nodes':>5} {'fleetjobs ms':>12} {'celery ms':>12} {'ratio':>8}")
    for broker in options.brokers:
        measure(broker, options.nodes, options.rounds, cpu=options.cpu)


if __name__ == "__main__":
    main()
