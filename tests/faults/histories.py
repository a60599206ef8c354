"""Histories: what happens to a fleet, drawn by a seed, and done to it.

A step is what a person or a machine might do next; which one, the seed decides. While a history
goes on nothing is judged but what may never be true, not even for a moment.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import get_args

from fleetjobs.crashpoints import CrashPoint
from fleetjobs.errors import Fault, Problem
from fleetjobs.states import StartIf, State
from tests.faults import troubles
from tests.faults.caller import Call, Caller
from tests.faults.checker import Checker
from tests.faults.fleet import PROGRAM, RUNNER, Fleet, at_work
from tests.faults.forger import Forger
from tests.faults.locking import BUSY, locked
from tests.faults.oracle import read_marks
from tests.faults.parts import Part
from tests.processes import wait_for

LATEST = 10  #: a person changes one of the latest jobs
FORCED = 0.2  #: of all cancels
PAUSE_S = 2.0  #: the longest that a history waits for something to happen
DESK_POINTS: dict[str, tuple[CrashPoint, ...]] = {
    "server": ("control_before_commit", "control_after_commit"),
    "coordinator": (
        "dispatcher_after_publish",
        "collector_before_commit",
        "collector_after_commit",
    ),
}
NODE_POINTS: tuple[CrashPoint, ...] = tuple(
    point
    for point in get_args(CrashPoint)
    if all(point not in points for points in DESK_POINTS.values())
)


@dataclass(slots=True)
class History:
    """One fleet, one seed: `step` until it is time, then `end`."""

    fleet: Fleet
    seed: int
    caller: Caller = field(init=False)
    log: list[str] = field(default_factory=list)  # what was done
    faults: Counter[str] = field(default_factory=Counter)
    dice: Random = field(init=False)
    _checker: Checker = field(init=False)

    def __post_init__(self) -> None:
        self.caller = Caller(self.fleet)
        self.dice = Random(self.seed)  # noqa: S311  no secret, a die
        self._checker = Checker(self.caller)

    def step(self) -> None:
        """Do the next thing."""
        steps, weights = zip(*STEPS.items(), strict=True)
        step = self.dice.choices(steps, weights)[0]
        what = step(self)
        if what:
            self.log.append(f"{step.__name__} {what}")
            if step not in HARMLESS:
                self.faults[step.__name__] += 1

    def end(self) -> list[str]:
        """Heal, drain, check; the violations."""
        self.fleet.heal()
        return self._checker.check()

    def submit(self) -> str:
        """Ask for a few marks; the answer may stay away, which is resolved later."""
        nodes = self.dice.sample(self.fleet.nodes, self.dice.randint(1, 2))
        call = self.caller.ask(*nodes, seconds=self.dice.choice([0, 0, 0.1, 0.5, 2.0]))
        return f"{call.job[-6:]} {nodes} {'accepted' if call.accepted else 'unheard'}"

    def submit_failing(self) -> str:
        """Ask for something that begins and fails."""
        node = self.dice.choice(self.fleet.nodes)
        return self.caller.ask_stubborn("flaky", node, once=True, times=1).job[-6:]

    def submit_many(self) -> str:
        """A crowd of jobs at once."""
        calls = [self.caller.ask() for _ in range(self.dice.randint(5, 20))]
        return f"{len(calls)} jobs"

    def ask_inline(self) -> str:
        """A query, answered by the workers themselves."""
        return self.caller.ask_inline().job[-6:]

    def kill_part(self) -> str:
        """SIGKILL to one program."""
        part = self._pick([part for part in self._parts() if part.is_alive])
        if part is None:
            return ""
        part.resume()
        part.kill()
        return part.name

    def arm(self) -> str:
        """Start one program anew, with a crash point to die at."""
        part = self.dice.choice(self._parts())
        point = self.dice.choice(DESK_POINTS.get(part.name, NODE_POINTS))
        part.resume()
        part.restart(point)
        return f"{part.name} {point}"

    def restart(self) -> str:
        """Start one program that is down."""
        part = self._pick([part for part in self._parts() if not part.is_alive])
        if part is not None:
            part.start()
        return part.name if part else ""

    def pause(self) -> str:
        """SIGSTOP to one program."""
        part = self._pick([part for part in self._parts() if part.is_alive])
        if part is not None:
            part.pause()
        return part.name if part else ""

    def resume(self) -> str:
        """SIGCONT to all programs."""
        for part in self._parts():
            part.resume()
        return "all"

    def kill_runner(self) -> str:
        """SIGKILL to the runner of some attempt; its program goes on."""
        return self._kill_at_work(RUNNER)

    def kill_program(self) -> str:
        """SIGKILL to whatever is at work on some attempt."""
        return self._kill_at_work(PROGRAM)

    def kill_host(self) -> str:
        """SIGKILL to the runner host of some node."""
        node = self.dice.choice(self.fleet.nodes)
        host = self.fleet.worker(node).child("runner_host")
        if host is None:
            return ""
        host.kill()
        return node

    def lock_database(self) -> str:
        """Somebody else has the database locked for a while."""
        with suppress(*BUSY), locked(self.fleet):
            return f"for {self.let_pass()}"
        return ""

    def duplicate(self) -> str:
        """Deliver some job's message a few times more."""
        call = self._pick([call for call in self._accepted() if not is_changed(call)])
        if call is None:
            return ""
        call.copied = True
        node = self.dice.choice(call.nodes)
        with suppress(Fault):
            Forger(self.fleet).post_again(node, call.job, call.sealed, times=3)
        return f"{call.job[-6:]} {node}"

    def cancel(self) -> str:
        """Call some job off."""
        force = self.dice.random() < FORCED
        return self._wish(lambda call: self.caller.cancel(call, force=force))

    def hold(self) -> str:
        """Set some job aside."""
        return self._wish(self.caller.hold)

    def release(self) -> str:
        """Let some job go on that was set aside."""
        call = self._pick([call for call in self._accepted() if call.held])
        if call is None:
            return ""
        with suppress(Problem):
            return f"{call.job[-6:]} {self.caller.release(call)}"
        return f"{call.job[-6:]} refused"

    def edit(self) -> str:
        """Have some job write another text."""
        text = f"edit{self.dice.randrange(1000)}"
        return self._wish(lambda call: self.caller.edit(call, text)) and text

    def retry(self) -> str:
        """Try a job again that failed somewhere, and was called off nowhere."""
        calls = [call for call in self._accepted() if call.sealed and not call.called_off]
        with suppress(Fault):
            for call in () if self.fleet.server.is_paused else self.dice.sample(calls, len(calls)):
                if self._failed(call):
                    return f"{call.job[-6:]} by {self.caller.retry(call).job[-6:]}"
        return ""

    def _failed(self, call: Call) -> bool:
        """Whether it has ended, and not well."""
        states = self.caller.states(call)
        return State.FAILED in states and states <= {State.FAILED, State.SUCCEEDED}

    def depend(self) -> str:
        """Ask for something after one or two of the latest jobs, however they are to end."""
        latest = self._accepted()[-LATEST:]
        others = self.dice.sample(latest, min(len(latest), self.dice.randint(1, 2)))
        when = {other.job: self.dice.choice([*StartIf]) for other in others}
        if self.fleet.server.is_paused or not when:
            return ""
        call = self.caller.ask_after(when, self.dice.choice(self.fleet.nodes))
        return f"{call.job[-6:]} after {[(job[-6:], str(end)) for job, end in when.items()]}"

    def let_pass(self) -> str:
        """Wait until some more marks are made, or not."""
        before = len(read_marks(self.fleet.marks))
        more = self.dice.randint(1, 6)
        with suppress(AssertionError):
            wait_for(lambda: len(read_marks(self.fleet.marks)) >= before + more, within=PAUSE_S)
        return f"{more} marks"

    def _wish(self, ask: Callable[[Call], bool | None]) -> str:
        """Something of one of the latest jobs, whose message only the coordinator sends."""
        latest = self._accepted()[-LATEST:]
        call = self._pick([call for call in latest if not call.copied and not call.is_inline])
        if call is None or self.fleet.server.is_paused:
            return ""
        with suppress(Problem):
            return f"{call.job[-6:]} {ask(call)}"
        return f"{call.job[-6:]} refused"

    def _accepted(self) -> list[Call]:
        return [call for call in self.caller.calls.values() if call.accepted]

    def _parts(self) -> list[Part]:
        return list(self.fleet.parts.values())

    def _pick(self, choices: Sequence[Part] | Sequence[Call]) -> Part | Call | None:
        return self.dice.choice(choices) if choices else None

    def _kill_at_work(self, role: str) -> str:
        for node in self.dice.sample(self.fleet.nodes, len(self.fleet.nodes)):
            for run in self.fleet.spool(node).unsettled():
                call, holder = self.caller.calls.get(run.key.job), at_work(run).get(role)
                if call is None or holder is None:
                    continue
                call.harmed |= role == PROGRAM
                with suppress(ProcessLookupError):
                    os.kill(holder.pid, signal.SIGKILL)
                return f"{run.key} on {node}"
        return ""


def is_changed(call: Call) -> bool:
    """Whether its message, sent again, might be another than the coordinator's."""
    is_coordinators = call.called_off or call.held or call.texts != {""} or not call.sealed
    return is_coordinators or bool(call.after)


#: how often each step is taken, beside the others
STEPS: dict[Callable[[History], str], int] = {
    History.submit: 30,
    History.submit_many: 4,
    History.submit_failing: 4,
    History.ask_inline: 5,
    History.let_pass: 20,
    History.cancel: 6,
    History.hold: 3,
    History.release: 3,
    History.edit: 4,
    History.retry: 6,
    History.depend: 6,
    troubles.hold_wire: 3,
    troubles.hold_database: 1,
    troubles.cut_wire: 2,
    troubles.slow_wires: 2,
    troubles.heal_wires: 8,
    troubles.mix: 4,
    History.restart: 14,
    History.resume: 6,
    History.kill_part: 6,
    History.arm: 8,
    History.pause: 3,
    History.kill_runner: 3,
    History.kill_program: 2,
    History.kill_host: 2,
    History.duplicate: 4,
    troubles.bounce_broker: 1,
    troubles.empty_broker: 1,
    History.lock_database: 1,
    troubles.bounce_database: 1,
}
HARMLESS = {
    History.submit,
    History.submit_many,
    History.submit_failing,
    History.ask_inline,
    History.let_pass,
    History.depend,
    troubles.heal_wires,
    History.restart,
    History.resume,
}
