"""The checker itself: what it is made to see, it sees."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetjobs.documents import encode
from fleetjobs.messages import Reply, Stage
from fleetjobs.programs.premises import Premises
from fleetjobs.signing import SigningKey, node_key_id
from fleetjobs.spool.attempts import RunKey
from fleetjobs.spool.spool import Spool
from fleetjobs.states import Reason, StartIf, State
from tests.faults.caller import Call, Caller
from tests.faults.checker import Checker
from tests.faults.fleet import Fleet
from tests.makers import NOW, new_id

NODE = "node1"
#: how a run comes there, and with it a job that has no other
WAYS = {
    State.RUNNING: (State.QUEUED, State.RUNNING),
    State.SUCCEEDED: (State.QUEUED, State.RUNNING, State.SUCCEEDED),
    State.FAILED: (State.QUEUED, State.RUNNING, State.FAILED),
    State.CANCELLED: (State.QUEUED, State.CANCELLED),
    State.EXPIRED: (State.EXPIRED,),
}


def trail(state: State) -> list[dict[str, Any]]:
    """The log of a job that stands so."""
    events, old = [event("job.accepted", None, State.WAITING, node=None)], State.WAITING
    for new in WAYS[state]:
        events += [event(f"{what}.{new}", old, new, at) for what, at in PLACES]
        old = new
    return events


PLACES = (("job", None), ("run", NODE))


def event(kind: str, old: State | None, new: State, node: str | None = NODE) -> dict[str, Any]:
    """One row of the log."""
    return {"kind": kind, "old": old, "new": new, "node": node, "actor": "a", "reason": "so"}


class Bystander(Caller):
    """A caller who is told what to know; there is no fleet."""

    def __init__(self, root: Path) -> None:
        """One accepted job, that succeeded, with its marks."""
        super().__init__(Fleet(Premises(root), (NODE,), None, None, {}))
        self.call = Call(new_id(), (NODE,), "", accepted=True)
        self.calls[self.call.job] = self.call
        self.run: dict[str, Any] | None = {
            "node": NODE,
            "state": State.SUCCEEDED,
            "reason": None,
            "attempt": 1,
            "statuscode": 0,
            "data": {},
            "exit_code": None,
        }
        self.log = trail(State.SUCCEEDED)
        self.mark("start")
        self.mark("end")

    def document(self, call: Call) -> dict[str, Any]:
        """What it was told: a job stands as its only run."""
        run = self.run or {"state": State.SUCCEEDED}
        return {"id": call.job, "state": run["state"]}

    def events(self, call: Call) -> list[dict[str, Any]]:  # noqa: ARG002  of the only one
        """What it was told, numbered."""
        return [{**event, "seq": number} for number, event in enumerate(self.log)]

    def runs(self, call: Call) -> list[dict[str, Any]]:
        """What it was told."""
        return [self.run] if self.run and call is self.call else []

    def mark(self, word: str, job: str | None = None) -> None:
        """Have an action's mark on disk."""
        with self.fleet.marks.open("a") as file:
            file.write(f"{job or self.call.job} {NODE} 1 77 {word}\n")

    def keep(self, **changes: Any) -> None:
        """Have a final reply in the node's spool."""
        spool: Spool = self.fleet.spool(NODE)
        key = RunKey(self.call.job, 1)
        spool.add(key, delivery="d", request="r", accepted_at=NOW)
        fields = {"state": State.SUCCEEDED} | changes
        reply = Reply(job=key.job, node=NODE, attempt=1, stage=Stage.FINISHED, **fields)
        sealed = SigningKey.generate(node_key_id(NODE)).seal(encode(reply))
        spool.put_reply(key, Stage.FINISHED, sealed)

    def become(self, **changes: Any) -> None:
        """Have the fleet say otherwise."""
        assert self.run is not None
        self.run |= changes
        self.log = trail(self.run["state"])

    def vanish(self) -> None:
        """Have the fleet know nothing."""
        self.run = None


def began_early(caller: Bystander) -> None:
    other = Call(new_id(), (NODE,), "")
    caller.calls[other.job] = other
    caller.call.after = {other.job: StartIf.COMPLETED}
    caller.mark("start", other.job)
    caller.mark("end", other.job)


def forget(caller: Bystander, number: int) -> None:
    del caller.log[number]


def failed(caller: Bystander) -> None:
    caller.become(state=State.FAILED, reason=Reason.INTERRUPTED)


def called_off(caller: Bystander) -> None:
    caller.fleet.marks.unlink()
    caller.become(state=State.CANCELLED, reason=Reason.CANCELLED)


def know(caller: Bystander, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(caller.call, name, value)


SIGHTS: dict[str, tuple[str, Callable[[Bystander], None]]] = {
    "a job that is gone": ("I1", Bystander.vanish),
    "a job without an end": ("I1", lambda caller: caller.become(state=State.RUNNING)),
    "a second start": ("I3", lambda caller: caller.mark("start")),
    "a success that was not": ("I4", lambda caller: caller.fleet.marks.unlink()),
    "a stranger's job": ("I5", lambda caller: caller.mark("start", new_id())),
    "a success that is not told": ("I2", failed),
    "a cancel that nobody wanted": ("I9", called_off),
    "a start after its cancel": ("I9", lambda caller: know(caller, begun=0)),
    "the text before its edit": ("I9", lambda caller: know(caller, texts={"new"})),
    "a start before its condition": ("I7", began_early),
    "a move that is not in the log": ("I11", lambda caller: forget(caller, 2)),
    "an end that is not in the log": ("I11", lambda caller: forget(caller, -1)),
    "a move by nobody": ("I11", lambda caller: caller.log[2].update(actor="")),
    "another reply": ("I2", lambda caller: caller.keep(data={"pid": 1})),
}


@pytest.fixture
def caller(tmp_path: Path) -> Bystander:
    return Bystander(tmp_path)


def test_where_all_is_well_nothing_is_seen(caller: Bystander) -> None:
    caller.keep()

    assert Checker(caller).now() == []


@pytest.mark.parametrize("sight", SIGHTS)
def test_a_violation_is_seen_for_what_it_is(caller: Bystander, sight: str) -> None:
    invariant, happens = SIGHTS[sight]

    happens(caller)

    found = {violation.split()[0] for violation in Checker(caller).now()}
    assert found == {invariant}


def test_a_cancel_that_was_wanted_is_no_violation(caller: Bystander) -> None:
    """Its action may have come to its end mark, and its node may say so later."""
    caller.keep()
    caller.call.called_off = True

    caller.become(state=State.CANCELLED, reason=Reason.CANCELLED)

    assert Checker(caller).now() == []


def test_an_end_that_changes_is_seen(caller: Bystander) -> None:
    checker = Checker(caller)
    assert checker.now() == []

    caller.become(state=State.EXPIRED)
    caller.call.harmed = True

    assert [violation.split()[0] for violation in checker.now()] == ["I1"]
