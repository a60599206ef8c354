"""The yardstick: plain Celery doing the same, on the same broker, in the same run.

One worker per node and queue, forked from one warm parent as `fj up` does, and a `group` over them.
Results come back the way Celery recommends for the broker: `rpc://` on RabbitMQ, Redis on Redis.
As a program it asks workers that are there already: `python -m benchmarks.raw_celery URL NODES`.
"""

import os
import signal
import sys
import time
from types import TracebackType
from typing import Self

from celery import Celery, group

READY_WITHIN_S = 60
LOOK_EVERY_S = 0.001  #: by default a group's `get` sleeps 0.5 s between two looks into Redis


def ping() -> dict[str, float]:
    """The time."""
    return {"pong": time.time()}


def make_raw_app(broker: str) -> Celery:
    """A minimal app: one task, JSON, defaults otherwise."""
    app = Celery("raw", broker=broker, backend="rpc://" if broker.startswith("amqp") else broker)
    app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)
    app.task(name="raw.ping", shared=False)(ping)
    return app


def ask(app: Celery, nodes: int) -> list[dict[str, float]]:
    """What that many workers replied to a group."""
    task = app.tasks["raw.ping"]
    result = group(task.s().set(queue=f"raw.{index}") for index in range(nodes)).apply_async()
    replies: list[dict[str, float]] = result.get(timeout=60, interval=LOOK_EVERY_S)
    return replies


class RawFleet:
    """N plain workers; a context manager that ends every process it started."""

    def __init__(self, broker: str, nodes: int) -> None:
        self._app = make_raw_app(broker)
        self._nodes = nodes
        self._pids: list[int] = []

    def __enter__(self) -> Self:
        """Start the workers and wait until each has answered."""
        for index in range(self._nodes):
            self._pids.append(self._fork(index))
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if len(self._app.control.ping(timeout=1.0) or ()) >= self._nodes:
                return self
        self._end()
        raise TimeoutError(f"plain workers not ready within {READY_WITHIN_S} s")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the workers."""
        self._end()

    def _end(self) -> None:
        for pid in self._pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def ping(self, nodes: int) -> float:
        """Seconds from submitting a group over that many nodes to its last result."""
        started = time.perf_counter()
        ask(self._app, nodes)
        return time.perf_counter() - started

    def _fork(self, index: int) -> int:
        pid = os.fork()
        if pid:
            return pid
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        worker = self._app.Worker(
            hostname=f"raw{index}@raw",
            queues=[f"raw.{index}"],
            pool="solo",
            without_gossip=True,
            without_mingle=True,
            quiet=True,
            loglevel="ERROR",
        )
        worker.start()
        sys.exit(0)


if __name__ == "__main__":
    for reply in ask(make_raw_app(sys.argv[1]), int(sys.argv[2])):
        print(reply)
