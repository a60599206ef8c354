"""Checker: the invariants, held against the marks, the nodes' files and the caller's own log."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fleetjobs.broker.connections import connect, durable_queue, node_queue_name
from fleetjobs.jobs import JobId
from fleetjobs.messages import Reply, decode
from fleetjobs.signing import peek
from fleetjobs.spool.attempts import RunKey
from fleetjobs.states import TERMINAL, State
from tests.faults.caller import Caller
from tests.faults.fleet import at_work
from tests.faults.oracle import END, START, Attempt, counts, read_marks
from tests.processes import wait_for

PROBE_S = 5.0  #: once a fleet has come back, a new job is done within that time
SETTLE_S = 30.0  #: and outboxes are empty, runners gone

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

    def _left(self) -> Iterator[str]:
        """I10: nothing waits to be taken or sent, nobody works on what has ended."""
        yield from self._unconfirmed()
        for node in self.caller.fleet.nodes:
            if waiting := in_queue(self.caller.fleet.broker_url, node):
                yield f"I10 {node}: {waiting} messages in its queue"
            spool = self.caller.fleet.spool(node)
            for entry in spool.outbox():
                yield f"I10 {node}: {entry.path.name} is in its outbox"
            for run in spool.runs():
                if not run.is_settled:
                    yield f"I10 {node}: {run.key} is not settled"
                elif at_work(run):
                    yield f"I10 {node}: somebody works on {run.key}"
            for name in spool.broken():
                yield f"I10 {node}: {name} is broken"

    def _unconfirmed(self) -> Iterator[str]:
        """I9: a wish that some node has not heard of, or not answered."""
        for call in self.caller.calls.values():
            if call.called_off or call.held or call.texts != {""}:
                for run in self.caller.runs(call):
                    if run["pending"] is not None:
                        yield f"I9 {call.job} {run['node']}: {run['pending']} is not confirmed"


def in_queue(url: str, node: str) -> int:
    """How many messages the broker holds for a node and has not given to it."""
    with connect(url) as connection:
        queue = durable_queue(node_queue_name(node), url).bind(connection.default_channel)
        try:
            return int(queue.queue_declare(passive=True).message_count)
        except connection.channel_errors:  # Redis knows no empty list
            return 0


def _differs(kept: Reply, run: Mapping[str, Any]) -> bool:
    said = (kept.state, kept.statuscode, kept.data, kept.exit_code)
    return said != (run["state"], run["statuscode"], run["data"], run["exit_code"])


def violations(caller: Caller) -> list[str]:
    """Heal the fleet, let it drain, and name every invariant that does not hold."""
    caller.fleet.heal()
    return Checker(caller).check()
