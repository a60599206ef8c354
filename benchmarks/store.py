"""Store: keep a job, mark its runs as handed over, collect their replies; seconds by size.

python -m benchmarks.store [--databases sqlite postgres] [--runs 1 1000 10000]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

from fleetjobs.coordinator import collector, dispatcher
from fleetjobs.jobs import Job
from fleetjobs.states import State
from fleetjobs.store.database import Database
from fleetjobs.store.handovers import mark_queued, runs_to_dispatch
from fleetjobs.store.jobs import get_job
from fleetjobs.store.replies import apply_replies
from tests.makers import NOW, add_org, keep_job, make_reply
from tests.servers import Postgres

MINUTE = timedelta(minutes=1)


def main() -> None:
    """Print a row for each database and size."""
    parser = argparse.ArgumentParser(description="Measure the store.")
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgres"])
    parser.add_argument("--runs", nargs="+", type=int, default=[1, 1000, 10_000])
    options = parser.parse_args()
    print(f"{'database':10} {'runs':>6} {'keep ms':>9} {'hand over':>10} {'collect':>9} runs/s")
    for kind in options.databases:
        with _url(kind) as url, closing(Database.open(url)) as database:
            database.migrate()
            add_org(database)
            _measure(database, 10)
            for runs in options.runs:
                times = [_measure(database, runs) for _ in range(51 if runs < 10 else 3)]  # noqa: PLR2004
                keep, hand, collect = (statistics.median(part) for part in zip(*times, strict=True))
                rates = f"{runs / hand:10.0f} {runs / collect:9.0f}"
                print(f"{kind:10} {runs:6} {keep * 1000:9.1f} {rates}")


@contextmanager
def _url(kind: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="fleetjobs-bench-") as directory:
        if kind == "sqlite":
            yield f"sqlite:///{directory}/fleetjobs.sqlite"
        else:
            with Postgres(Path(directory)) as server:
                yield server.url


def _measure(database: Database, runs: int) -> tuple[float, float, float]:
    """Seconds to keep a job of so many runs, to note its hand-over, to collect its replies."""
    nodes = [f"node{number:05}.example.org" for number in range(runs)]
    began = time.perf_counter()
    job = keep_job(database, *nodes, sealed="x" * 900)
    kept = time.perf_counter()
    while _hand_over(database):
        pass
    handed = time.perf_counter()
    for place in range(0, runs, collector.BATCH):
        _collect(database, job, nodes[place : place + collector.BATCH])
    collected = time.perf_counter()
    with database.reading() as connection:
        found = get_job(connection, job.id, org=None)
    if found is None or found.state is not State.SUCCEEDED:
        raise RuntimeError(f"the job did not end well: {found}")
    return kept - began, handed - kept, collected - handed


def _hand_over(database: Database) -> int:
    with database.reading() as connection:
        due = runs_to_dispatch(connection, NOW, dispatcher.BATCH)
    if due:
        with database.transaction() as connection:
            mark_queued(connection, due, NOW, MINUTE)
    return len(due)


def _collect(database: Database, job: Job, nodes: list[str]) -> None:
    replies = [make_reply(job.id, node, data={"text": "a"}) for node in nodes]
    with database.transaction() as connection:
        apply_replies(connection, replies, NOW)


if __name__ == "__main__":
    main()
