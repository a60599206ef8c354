"""Plans: a chain node by node and a wide chord, against plain Celery; and how soon a leg follows.

    python -m benchmarks.plans [--nodes 20] [--headers 1000] [--rounds 5] [--chords 3] [--slow 1]

All fleets run at the same time on the same Redis and take turns, so all see the same machine.
Plain Celery keeps its results in Redis, and for the last figure in PostgreSQL.
"""

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from celery import Celery, chain, chord, group

from benchmarks.desk import Desk
from benchmarks.raw_celery import LOOK_EVERY_S, RawFleet
from fleetjobs.client.plans import PlanJob
from fleetjobs.client.rpc import rpcclient
from tests.servers import Postgres, Redis

LEGS = 4
WITHIN_S = 300


def step() -> float:
    """The time."""
    return time.time()


def count(results: list[Any]) -> int:
    """How many results there are."""
    return len(results)


class RawPlans(RawFleet):
    """Plain workers that know a step and a body."""

    def __init__(self, broker: str, backend: str, nodes: int) -> None:
        super().__init__(broker, nodes)
        self._app = Celery("raw", broker=broker, backend=backend)
        self._app.conf.update(
            worker_hijack_root_logger=False, broker_connection_retry_on_startup=True
        )
        self._step = self._app.task(name="raw.step", shared=False)(step)
        self._count = self._app.task(name="raw.count", shared=False)(count)

    def chains(self) -> float:
        """Seconds that a chain on each node takes."""
        started = time.perf_counter()
        results = [
            chain(self._step.si().set(queue=f"raw.{index}") for _ in range(LEGS)).apply_async()
            for index in range(self._nodes)
        ]
        for result in results:
            result.get(timeout=WITHIN_S, interval=LOOK_EVERY_S)
        return time.perf_counter() - started

    def chord(self, headers: int) -> float:
        """Seconds that a chord of so many headers takes."""
        started = time.perf_counter()
        header = group(
            self._step.si().set(queue=f"raw.{index % self._nodes}") for index in range(headers)
        )
        result = chord(header, app=self._app)(self._count.s().set(queue="raw.0"))
        if result.get(timeout=WITHIN_S, interval=LOOK_EVERY_S) != headers:
            raise RuntimeError("headers are missing")
        return time.perf_counter() - started


class Plans:
    """The same as plans of a fleet."""

    def __init__(self, desk: Desk) -> None:
        self._fleet = desk.connect()
        self._all = rpcclient("rpcutil", nodes=desk.nodes, fleet=self._fleet)
        self._each = [rpcclient("rpcutil", nodes=[node], fleet=self._fleet) for node in desk.nodes]
        for client in (self._all, *self._each):
            _ = client.interface

    def _run(self, work: Any) -> tuple[float, PlanJob]:
        started = time.perf_counter()
        plan = self._fleet.submit(work)
        if not plan.wait(WITHIN_S) or plan.state != "succeeded":
            raise RuntimeError(f"{plan}: {[leg for leg in plan.legs() if leg['reason']][:2]}")
        return time.perf_counter() - started, plan

    def chains(self) -> float:
        """Seconds that a chain takes, each node at its own pace."""
        return self._run(chain(self._all.ping.s() for _ in range(LEGS)))[0]

    def chord(self, headers: int) -> float:
        """Seconds that a chord of so many headers takes."""
        clients = self._each
        header = [clients[index % len(clients)].ping.s() for index in range(headers)]
        return self._run(chord(header, clients[0].ping.s()))[0]

    def releases(self) -> Iterator[float]:
        """Milliseconds from when a leg's reply is collected until the node begins the next.

        By the log the time of the transaction that counted the reply, and by the node, whose
        clock is the same, the start of the next run: more than the release alone.
        """
        _, plan = self._run(chain(self._each[0].ping.s() for _ in range(LEGS)))
        events = self._fleet.events(plan.id)
        counted = {one["job"]: one["at"] for one in events if one["kind"] == "run.succeeded"}
        legs = [leg["id"] for leg in plan.legs()]
        for before, leg in pairwise(legs):
            (run,) = self._fleet.runs(leg)
            began, ended = (
                datetime.fromisoformat(at) for at in (run["started_at"], counted[before])
            )
            yield (began - ended).total_seconds() * 1000


def compare(name: str, ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> None:
    """Print the medians of both, in turns, and their ratio."""
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    one, other = (statistics.median(side) * 1000 for side in zip(*pairs, strict=True))
    ratio = one / other
    print(f"{name:32} {one:12.0f} {other:12.0f} {ratio:8.2f} {1 / ratio:8.1f}", flush=True)


@contextmanager
def fleets(nodes: int) -> Iterator[tuple[Plans, RawPlans, RawPlans]]:
    """Ours, plain Celery with results in Redis, and with results in PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="fleetjobs-bench-") as directory:
        place = Path(directory)
        for name in ("redis", "postgres"):
            (place / name).mkdir()
        with Redis(place / "redis") as redis, Postgres(place / "postgres") as postgres:
            address = redis.url.rpartition("/")[0]
            rows = "db+" + postgres.url.replace("postgresql://", "postgresql+psycopg://")
            with (
                RawPlans(f"{address}/1", f"{address}/1", nodes) as quick,
                RawPlans(f"{address}/2", rows, nodes) as slow,
                Desk(f"{address}/0", nodes) as desk,
            ):
                yield Plans(desk), quick, slow


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--headers", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5, help="of the chain, and of the release")
    parser.add_argument("--chords", type=int, default=3, help="with results in Redis")
    parser.add_argument("--slow", type=int, default=1, help="with results in PostgreSQL")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with fleets(options.nodes) as (plans, quick, slow):
        plans.chains(), quick.chains(), slow.chord(options.nodes)
        titles = ("fleetjobs ms", "celery ms", "ratio", "faster")
        print(f"{'':32} {titles[0]:>12} {titles[1]:>12} {titles[2]:>8} {titles[3]:>8}")
        name = f"chain of {LEGS} on {options.nodes} nodes"
        compare(name, plans.chains, quick.chains, options.rounds)
        headers = options.headers
        for name, raw, rounds in (
            (f"chord of {headers}, Redis", quick, options.chords),
            (f"chord of {headers}, PostgreSQL", slow, options.slow),
        ):
            compare(name, lambda: plans.chord(headers), lambda one=raw: one.chord(headers), rounds)
        found = [ms for _ in range(options.rounds * 2) for ms in plans.releases()]
        worst = max(found)
        print(
            f"a leg follows after {statistics.median(found):.1f} ms (median), {worst:.1f} at most"
        )


if __name__ == "__main__":
    main()
