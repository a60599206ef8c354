"""Checker: the invariants, held against the marks, the nodes' files and the caller's own log."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fleetjobs.documents import decode
from fleetjobs.messages import Reply
from fleetjobs.names import JobId
from fleetjobs.signing import peek
from fleetjobs.spool.attempts import RunKey
from fleetjobs.states import TERMINAL, StartIf, State
from tests.faults.caller import Caller
from tests.faults.leaks import leaks
from tests.faults.oracle import END, START, Attempt, counts, read_marks
from tests.faults.trails import gaps
from tests.processes import wait_for

PROBE_S = 5.0  #: once a fleet has come back, a new job is done within that time
SETTLE_S = 30.0  #: and outboxes are empty, runners gone

#: how a job has to end for those that wait for it; None: in any way
WANTED: dict[StartIf, State | None] = {
    StartIf.SUCCEEDED: State.SUCCEEDED,
    StartIf.FAILED: State.FAILED,
    StartIf.COMPLETED: None,
    StartIf.ALWAYS: None,
}

Runs = Mapping[tuple[str, str], Mapping[str, Any]]  #: by job and node


@dataclass(slots=True)
class Checker:
    """Looks at a fleet that has healed."""

    caller: Caller
    finals: dict[tuple[str, str], str] = field(default_factory=dict)  # seen before; they stay

    def check(self) -> list[str]:
        """Wait for the fleet to drain, and name every violation."""
        try:
            self.caller.insist()
            self.caller.release_all()
            self.caller.wait()
            self.caller.wait(self.caller.submit())  # the programs may only just have started
            self.caller.wait(self.caller.submit(), within=PROBE_S)
        except AssertionError as late:
            return [f"I12 {late}", *self.now()]
        try:
            wait_for(lambda: not list(self._left()), within=SETTLE_S, every=0.1)
        except AssertionError:
            return [*self._left(), *self.now()]
        return self.now()

    def now(self) -> list[str]:
        """Every violation as things stand."""
        runs = self._runs()
        return [
            *self._ends(runs),
            *self._marks(runs),
            *self._wishes(runs),
            *self._replies(runs),
            *self._chains(runs),
            *self._trails(),
        ]

    def _runs(self) -> Runs:
        calls = self.caller.calls.values()
        return {
            (call.job, run["node"]): run
            for call in calls
            if call.accepted
            for run in self.caller.runs(call)
        }

    def _ends(self, runs: Runs) -> Iterator[str]:
        """I1: each accepted job has one final state on each node, for good."""
        wanted = {
            (call.job, node)
            for call in self.caller.calls.values()
            if call.accepted
            for node in call.nodes
        }
        for name in wanted ^ set(runs):
            yield f"I1 {name} was {'lost' if name in wanted else 'invented'}"
        for name, run in runs.items():
            before = self.finals.setdefault(name, run["state"])
            if run["state"] not in TERMINAL:
                yield f"I1 {name} is {run['state']}"
                self.finals.pop(name)
            elif before != run["state"]:
                yield f"I1 {name} was {before} and is {run['state']}"

    def _marks(self, runs: Runs) -> Iterator[str]:
        """I3, I4, I5: begun at most once, by nobody but us, and done if it says so."""
        found = counts(read_marks(self.caller.fleet.marks))
        for attempt, words in found.items():
            call = self.caller.calls.get(attempt.job)
            if call is None or attempt.node not in call.nodes:
                yield f"I5 nobody asked for {attempt}"
            elif words[START] > 1 or words[END] > words[START]:
                yield f"I3 {attempt} has {dict(words)}"
        for (job, node), run in runs.items():
            words = found.get(Attempt(job, node, run["attempt"]), Counter())
            if self.caller.calls[job].is_inline:
                continue
            if run["state"] == State.SUCCEEDED and words[END] != 1:
                yield f"I4 {job} {node} succeeded with {dict(words)}"
            harmed = self.caller.calls[job].harmed or self._is_called_off(job, run)
            if run["state"] in TERMINAL - {State.SUCCEEDED} and words[END] and not harmed:
                yield f"I2 {job} {node} was done and is {run['state']} ({run['reason']})"

    def _wishes(self, runs: Runs) -> Iterator[str]:
        """I9: what was called off stays so and nothing else is; what was edited runs edited."""
        for (job, node), run in runs.items():
            if run["state"] == State.CANCELLED and not self._is_called_off(job, run):
                yield f"I9 {job} {node} was called off by nobody"
        for call in self.caller.calls.values():
            if call.begun is not None and self.caller.begun(call) > call.begun:
                yield f"I9 {call.job} began after it was called off"
        for mark in read_marks(self.caller.fleet.marks):
            known = self.caller.calls.get(mark.attempt.job)
            if known is not None and mark.text not in known.texts:
                yield f"I9 {mark} is none of {known.texts}"

    def _is_called_off(self, job: str, run: Mapping[str, Any]) -> bool:
        """Whether it ended as its caller wished: at once, or by its node, whatever came later."""
        return bool(run["state"] == State.CANCELLED and self.caller.calls[job].called_off)

    def _replies(self, runs: Runs) -> Iterator[str]:
        """I2: what a node says last is what the fleet knows."""
        for (job, node), run in runs.items():
            kept = self._kept(job, node, run["attempt"])
            if kept is None or self._is_called_off(job, run):
                continue
            if _differs(kept, run):
                yield f"I2 {job} {node}: the node says {kept.state} {kept.data}, not {run}"

    def _kept(self, job: str, node: str, attempt: int) -> Reply | None:
        found = self.caller.fleet.spool(node).find(RunKey(JobId(job), attempt))
        final = found.final() if found else None
        return decode(Reply, peek(final)) if final else None

    def _chains(self, runs: Runs) -> Iterator[str]:
        """I7: what waited began after the end that it waited for, or not at all."""
        marks = read_marks(self.caller.fleet.marks)
        for call in self.caller.calls.values():
            begun = [n for n, mark in enumerate(marks) if mark.attempt.job == call.job]
            for other, when in call.after.items():
                states = {run["state"] for (job, _), run in runs.items() if job == other}
                wanted = WANTED[when]
                if begun and wanted is not None and not _is(states, wanted):
                    yield f"I7 {call.job} began, and {other} is {states}"
                before = [n for n, mark in enumerate(marks) if mark.attempt.job == other]
                late = begun and before and begun[0] < before[-1]
                if late and not self.caller.calls[other].called_off:
                    yield f"I7 {call.job} began before {other} had ended"

    def _trails(self) -> Iterator[str]:
        """I11: the log explains how each job stands."""
        caller = self.caller
        for call in caller.calls.values():
            if call.accepted:
                yield from gaps(caller.document(call), caller.runs(call), caller.events(call))

    def _left(self) -> Iterator[str]:
        """I10: nothing waits to be taken or sent, nobody works on what has ended."""
        yield from self._unconfirmed()
        yield from leaks(self.caller.fleet)

    def _unconfirmed(self) -> Iterator[str]:
        """I9: a wish that some node has not heard of, or not answered."""
        for call in self.caller.calls.values():
            if call.called_off or call.held or call.texts != {""}:
                for run in self.caller.runs(call):
                    if run["pending"] is not None:
                        yield f"I9 {call.job} {run['node']}: {run['pending']} is not confirmed"


def _is(states: set[str], wanted: State) -> bool:
    """Whether a job whose runs stand so has ended like that; a part that was not done may be so."""
    return wanted in states if wanted is State.FAILED else states == {wanted}


def _differs(kept: Reply, run: Mapping[str, Any]) -> bool:
    said = (kept.state, kept.statuscode, kept.data, kept.exit_code)
    return said != (run["state"], run["statuscode"], run["data"], run["exit_code"])


def violations(caller: Caller) -> list[str]:
    """Heal the fleet, let it drain, and name every invariant that does not hold."""
    caller.fleet.heal()
    return Checker(caller).check()
