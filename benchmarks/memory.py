"""Memory: what each program of a fleet holds, as its proportional share (PSS).

python -m benchmarks.memory [--brokers redis rabbit] [--nodes 30]

A page that n processes share counts as 1/n in each. `node alone` is a worker that was started by
itself, as on a machine of its own, with its runner host.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.desk import Desk
from benchmarks.fanout import BROKERS, connect, ping
from benchmarks.processes import family, pss_mib

ALONE = "alone"  #: identity of the node that shares no memory with the fleet's others
SETTLE_S = 3.0  #: a fleet's first seconds are not what it holds for good


def main() -> None:
    """Print a row for each program."""
    parser = argparse.ArgumentParser(description="Weigh the programs of a fleet.")
    parser.add_argument("--brokers", nargs="+", default=["redis", "rabbit"], choices=BROKERS)
    parser.add_argument("--nodes", type=int, default=30)
    options = parser.parse_args()
    print(f"{'broker':8} {'program':20} {'count':>5} {'median MiB':>10} {'most MiB':>9}")
    for broker in options.brokers:
        for name, shares in weigh(broker, options.nodes).items():
            middle, most = statistics.median(shares), max(shares)
            print(f"{broker:8} {name:20} {len(shares):5} {middle:10.1f} {most:9.1f}", flush=True)


def weigh(broker: str, nodes: int) -> dict[str, list[float]]:
    """MiB by program, one figure for each of its processes."""
    with (
        tempfile.TemporaryDirectory(prefix="fleetjobs-bench-") as directory,
        BROKERS[broker](Path(directory)) as server,
        Desk(server.url, nodes) as desk,
    ):
        client = connect(desk, nodes)
        for _ in range(5):
            ping(client, nodes)
        time.sleep(SETTLE_S)
        found = _shares("worker", "host", "nursery", "server", "coordinator", "up", "broker")
        desk.add_node(ALONE)
        time.sleep(SETTLE_S)
        found |= {
            f"{name} alone": shares for name, shares in _shares("node", "runner_host").items()
        }
    return found


def _shares(*names: str) -> dict[str, list[float]]:
    roles = family()
    return {name: [pss_mib(role.process) for role in roles if role.name == name] for name in names}


if __name__ == "__main__":
    main()
