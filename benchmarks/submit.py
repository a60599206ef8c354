"""Submit: from the call to the job's id, and from accepted to started on an idle node.

python -m benchmarks.submit [--databases sqlite postgres] [--broker rabbit] [--rounds 200]

One client, one job at a time, each for one node. `started` is the node's own time of the program's
start, by the same clock, since all is on one machine.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from benchmarks.desk import Desk
from benchmarks.fanout import BROKERS
from fleetjobs.client.jobs import Job
from fleetjobs.client.rpc import RpcClient, rpcclient
from tests.servers import Postgres

DATABASES = ("sqlite", "postgres")
IDLE_S = 0.05  #: between two jobs, so that the fleet is idle when the next comes


def main() -> None:
    """Print a row for each database."""
    parser = argparse.ArgumentParser(description="Time single jobs.")
    parser.add_argument("--databases", nargs="+", default=list(DATABASES), choices=DATABASES)
    parser.add_argument("--broker", default="rabbit", choices=BROKERS)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    print(f"{'database':10} {'milliseconds':24} {'p50':>7} {'p95':>7}")
    for database in options.databases:
        with (
            tempfile.TemporaryDirectory(prefix="fleetjobs-bench-") as directory,
            BROKERS[options.broker](Path(directory) / "broker") as server,
            database_url(database, Path(directory)) as url,
            Desk(server.url, 1, url) as desk,
        ):
            client = rpcclient("demo", nodes=desk.nodes, config=desk.config)
            for name, times in measure(client, options.rounds).items():
                fifty, ninety = statistics.median(times), statistics.quantiles(times, n=20)[-1]
                print(f"{database:10} {name:24} {fifty:7.1f} {ninety:7.1f}", flush=True)


@contextmanager
def database_url(kind: str, directory: Path) -> Iterator[str | None]:
    """The address of an empty database; None: the one that `fj up` makes."""
    if kind == "sqlite":
        yield None
    else:
        with Postgres(directory / "database") as server:
            yield server.url


def measure(client: RpcClient, rounds: int) -> dict[str, list[float]]:
    """Milliseconds by what was measured."""
    times: dict[str, list[float]] = {"submit to id": [], "accepted to started": []}
    for number in range(rounds + 5):
        began = time.perf_counter()
        job = client.submit("echo", text="a")
        taken = time.perf_counter() - began
        job.wait(60)
        if number >= 5:  # noqa: PLR2004  the first warm up
            times["submit to id"].append(taken * 1000)
            times["accepted to started"].append(_until_started(job) * 1000)
        time.sleep(IDLE_S)
    return times


def _until_started(job: Job) -> float:
    run = job.runs()[0]
    times = job.document["created_at"], run["started_at"]
    begin, end = (datetime.fromisoformat(at) for at in times)
    return (end - begin).total_seconds()


if __name__ == "__main__":
    main()
