"""Killer: kills the programs of a fleet at random, and starts them again."""

import heapq
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from tests.faults.fleet import RUNNER, Fleet, at_work
from tests.faults.parts import Part
from tests.processes import ServerProcess

DOWN_S = 4.0  #: the longest that a program stays down
#: how often each is killed, beside the others; a worker is one of many
WEIGHTS = {"worker": 10, "runner": 6, "host": 3, "server": 2, "coordinator": 3, "broker": 1}


@dataclass(slots=True)
class Killer:
    """Kills every so often; `kills` says what and how often.

    Belongs to the main thread: what a thread has started is told to die with that thread.
    """

    fleet: Fleet
    seed: int
    every_s: float  # on average
    kills: Counter[str] = field(default_factory=Counter)
    _random: Random = field(init=False)
    _due: list[tuple[float, str]] = field(default_factory=list)  # who is to start when

    def __post_init__(self) -> None:
        self._random = Random(self.seed)  # noqa: S311  no secret, a die

    def go_on(self, until: float) -> None:
        """Until then, monotonic."""
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, self._random.expovariate(1 / self.every_s)))
            self.step()

    def step(self) -> None:
        """Start whose time has come, then kill one."""
        while self._due and self._due[0][0] <= time.monotonic():
            part = self.fleet.parts[heapq.heappop(self._due)[1]]
            if not part.is_alive:
                part.start()
        weights = dict(WEIGHTS, database=1) if self.fleet.database else WEIGHTS
        what = self._random.choices([*weights], [*weights.values()])[0]
        if self._kill(what):
            self.kills[what] += 1

    def _kill(self, what: str) -> bool:
        fleet = self.fleet
        if what in {"broker", "database"}:
            return _bounce(fleet.broker if what == "broker" else fleet.database)
        if what in {"server", "coordinator"}:
            return self._fell(fleet.parts[what])
        node = self._random.choice(fleet.nodes)
        deaths: dict[str, Callable[[], bool]] = {
            "worker": lambda: self._fell(fleet.worker(node)),
            "host": lambda: _kill_host(fleet.worker(node)),
            "runner": self._kill_runner,
        }
        return deaths[what]()

    def _fell(self, part: Part) -> bool:
        """SIGKILL now, a new start a little later."""
        if not part.is_alive:
            return False
        part.kill()
        heapq.heappush(self._due, (time.monotonic() + self._random.uniform(0, DOWN_S), part.name))
        return True

    def _kill_runner(self) -> bool:
        """Of any attempt at work; its program goes on."""
        for node in self._random.sample(self.fleet.nodes, len(self.fleet.nodes)):
            for run in self.fleet.spool(node).unsettled():
                holder = at_work(run).get(RUNNER)
                if holder is not None:
                    with suppress(ProcessLookupError):
                        os.kill(holder.pid, signal.SIGKILL)
                    return True
        return False


def _bounce(server: ServerProcess | None) -> bool:
    assert server is not None
    server.kill()
    server.start()
    return True


def _kill_host(worker: Part) -> bool:
    host = worker.child("runner_host") if worker.is_alive else None
    if host is None:
        return False
    host.kill()
    return True
