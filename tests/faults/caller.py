"""Caller: asks the fleet for marks, and keeps a log of its own of what was accepted."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeVar

from msgspec.structs import replace
from uuid_utils import uuid7

from fleetjobs.client.jobs import Job
from fleetjobs.documents import encode
from fleetjobs.errors import Problem, ServerAway
from fleetjobs.programs.premises import ACCOUNT, ORG
from fleetjobs.requests import After, Request
from fleetjobs.signing import SigningKey, account_key_id
from fleetjobs.states import TERMINAL, StartIf, State
from fleetjobs.targets import Target
from tests.faults.fleet import Fleet
from tests.faults.oracle import START, read_marks
from tests.processes import wait_for

T = TypeVar("T")

JOSE = "application/jose"
DRAIN_S = 60.0  #: within that time after the last fault all that was accepted has ended


@dataclass(slots=True)
class Call:
    """One job as its caller knows it."""

    job: str
    nodes: tuple[str, ...]
    sealed: str
    accepted: bool = False  # the server said so
    is_inline: bool = False  # a query, which leaves no marks
    harmed: bool = False  # a test killed its very program: then anything but success is right
    repeats: str = ""  # the job that it tries again; else it was sealed
    copied: bool = False  # its message was delivered by others than the coordinator
    called_off: bool = False  # its caller asked for that, heard or not
    held: bool = False  # or for this
    after: dict[str, StartIf] = field(default_factory=dict)  # jobs that it waits for
    texts: set[str] = field(default_factory=lambda: {""})  # any of which it may write
    begun: int | None = None  # start marks when its end by cancel was confirmed; no more may come


@dataclass(slots=True)
class Caller:
    """Submits; remembers."""

    fleet: Fleet
    calls: dict[str, Call] = field(default_factory=dict)
    drain_s: float = DRAIN_S

    def ask(self, *nodes: str, seconds: float = 0, **times: datetime) -> Call:
        """Ask once for marks on these nodes, all if none is named; the answer may stay away."""
        request = self._request(nodes or self.fleet.nodes, **times)
        data = {"file": str(self.fleet.marks), "seconds": seconds}
        return self._keep(replace(request, data=data))

    def ask_after(self, others: Mapping[str, StartIf], *nodes: str) -> Call:
        """Ask once for marks that wait for the ends of other jobs."""
        request = self._request(nodes or self.fleet.nodes)
        after = tuple(After(job=job, when=when) for job, when in others.items())
        data = {"file": str(self.fleet.marks)}
        return self._keep(replace(request, data=data, after=after), after=dict(others))

    def request(self, *nodes: str) -> Request:
        """For marks on these nodes; nothing is asked."""
        return replace(self._request(nodes), data={"file": str(self.fleet.marks)})

    def ask_inline(self, *nodes: str) -> Call:
        """Ask once for a ping, which the worker answers by itself."""
        request = self._request(nodes or self.fleet.nodes)
        return self._keep(replace(request, agent="rpcutil", action="ping", data={}), is_inline=True)

    def submit(self, *nodes: str, seconds: float = 0, **times: datetime) -> Call:
        """Ask until the server says that it has accepted."""
        call = self.ask(*nodes, seconds=seconds, **times)
        wait_for(lambda: self._post(call), within=self.drain_s, every=0.1)
        return call

    def insist(self) -> None:
        """Ask again, in the same bytes, whatever was not answered."""
        for call in self.calls.values():
            wait_for(lambda call=call: self._post(call), within=self.drain_s, every=0.1)

    def ask_stubborn(
        self, action: str, node: str, *, retries: int | None = None, once: bool = False, **data: Any
    ) -> Call:
        """Ask for an action of the tests' own, until the server has accepted it, or `once`."""
        request = self._request([node])
        data = {"file": str(self.fleet.marks), **data}
        changed = replace(request, agent="stubborn", action=action, data=data, retries=retries)
        call = self._keep(changed)
        if not once:
            wait_for(lambda: self._post(call), within=self.drain_s, every=0.1)
        return call

    def job(self, call: Call) -> Job:
        """A handle on it, fresh from the server."""
        client = self.fleet.client()
        return Job(client, client.job(call.job))

    def cancel(self, call: Call, *, force: bool = False) -> bool | None:
        """Call it off; whether its nodes have confirmed that, None if nothing was heard."""
        call.called_off = True
        confirmed = self._tell(lambda: self.job(call).cancel(force=force))
        if confirmed and self.has_ended(call):
            call.begun = self.begun(call)
        return confirmed

    def hold(self, call: Call) -> bool | None:
        """Set it aside; as `cancel`."""
        call.held = True
        return self._tell(lambda: self.job(call).hold())

    def release(self, call: Call) -> bool | None:
        """Let it go on; as `cancel`."""
        done = self._tell(lambda: self.job(call).release())
        call.held &= done is None
        return done

    def release_all(self) -> None:
        """Let go on what may be held, until the server has heard it."""
        for call in self.calls.values():
            wait_for(lambda call=call: self._released(call), within=self.drain_s, every=0.1)

    def edit(self, call: Call, text: str) -> bool | None:
        """Have it write something else; as `cancel`. False, too, if it has begun."""
        before, call.texts = call.texts, {*call.texts, text}
        try:
            confirmed = self._tell(lambda: self.job(call).edit(data={"text": text}))
        except Problem:
            call.texts = before
            return False
        call.texts = {text} if confirmed else call.texts
        return confirmed

    def retry(self, call: Call) -> Call:
        """Try again where it failed: a new job."""
        nodes = tuple(run["node"] for run in self.runs(call) if run["state"] != State.SUCCEEDED)
        again = Call(str(uuid7()), nodes, "", repeats=call.job, texts=call.texts)
        self.calls[again.job] = again
        self._post(again)
        return again

    def begun(self, call: Call) -> int:
        """How often it began, by its marks."""
        marks = read_marks(self.fleet.marks)
        return sum(mark.attempt.job == call.job and mark.word == START for mark in marks)

    def runs(self, call: Call) -> list[dict[str, Any]]:
        """What the fleet says became of it."""
        return list(self.fleet.client().runs(call.job))

    def document(self, call: Call) -> dict[str, Any]:
        """What the fleet says of the job as a whole."""
        return self.fleet.client().job(call.job)

    def events(self, call: Call) -> list[dict[str, Any]]:
        """What the fleet says happened to it."""
        return list(self.fleet.client().events(call.job))

    def has_ended(self, call: Call) -> bool:
        """Whether the fleet says that it is over on all nodes."""
        try:
            return self.fleet.client().job(call.job)["state"] in TERMINAL
        except (ServerAway, Problem):
            return False

    def wait(self, *calls: Call, within: float = DRAIN_S) -> None:
        """Until they have ended, all there are if none is named."""
        for call in calls or tuple(self.calls.values()):
            wait_for(lambda call=call: self.has_ended(call), within=within, every=0.05)

    def states(self, call: Call) -> set[str]:
        """The states of its runs."""
        return {run["state"] for run in self.runs(call)}

    def _request(self, nodes: Sequence[str], **times: datetime) -> Request:
        """For marks on those nodes."""
        now = datetime.now(UTC)
        return Request(
            id=str(uuid7()),
            org=ORG,
            caller=ACCOUNT,
            agent="demo",
            action="mark",
            data={},
            target=Target(identities=tuple(nodes)),
            created_at=now,
            start_before=times.get("start_before", now + timedelta(hours=1)),
            not_before=times.get("not_before"),
        )

    def _keep(
        self, request: Request, *, is_inline: bool = False, after: dict[str, StartIf] | None = None
    ) -> Call:
        """Write down what is asked, then ask."""
        key = SigningKey.load(account_key_id(ACCOUNT), self.fleet.premises.account_key)
        nodes, sealed = request.target.identities, key.seal(encode(request))
        call = Call(request.id, nodes, sealed, is_inline=is_inline, after=after or {})
        self.calls[request.id] = call
        self._post(call)
        return call

    def _post(self, call: Call) -> bool:
        """Whether the server has accepted it by now."""
        if call.accepted or self.fleet.server.is_paused:  # it would be waited for
            return call.accepted
        client = self.fleet.client()
        if call.repeats:
            wish = {"id": call.job}
            call.accepted = self._tell(lambda: client.act(call.repeats, "retry", wish)) is not None
        else:
            body = call.sealed.encode()
            done = self._tell(lambda: client.transport.post("jobs", body=body, content_type=JOSE))
            call.accepted = done is not None
        return call.accepted

    def _released(self, call: Call) -> bool:
        with suppress(Problem):  # it has ended
            return not call.held or self.release(call) is not None
        return True

    def _tell(self, wish: Callable[[], T]) -> T | None:
        """What the server answers; None if nothing was heard, and it may have happened."""
        if self.fleet.server.is_paused:  # it would be waited for
            return None
        try:
            return wish()
        except ServerAway:
            return None
        except Problem as problem:
            if problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            return None
