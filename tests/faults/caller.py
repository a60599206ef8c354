"""Caller: asks the fleet for marks, and keeps a log of its own of what was accepted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from msgspec.structs import replace
from uuid_utils import uuid7

from fleetjobs.errors import Problem, ServerAway
from fleetjobs.messages import Request, encode
from fleetjobs.programs.premises import ACCOUNT, ORG
from fleetjobs.signing import SigningKey, account_key_id
from fleetjobs.states import TERMINAL
from fleetjobs.targets import Target
from tests.faults.fleet import Fleet
from tests.processes import wait_for

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


@dataclass(slots=True)
class Caller:
    """Submits; remembers."""

    fleet: Fleet
    calls: dict[str, Call] = field(default_factory=dict)

    def ask(self, *nodes: str, seconds: float = 0, **times: datetime) -> Call:
        """Ask once for marks on these nodes, all if none is named; the answer may stay away."""
        request = self._request(nodes or self.fleet.nodes, **times)
        data = {"file": str(self.fleet.marks), "seconds": seconds}
        return self._keep(replace(request, data=data))

    def ask_inline(self, *nodes: str) -> Call:
        """Ask once for a ping, which the worker answers by itself."""
        request = self._request(nodes or self.fleet.nodes)
        return self._keep(replace(request, agent="rpcutil", action="ping", data={}), is_inline=True)

    def submit(self, *nodes: str, seconds: float = 0, **times: datetime) -> Call:
        """Ask until the server says that it has accepted."""
        call = self.ask(*nodes, seconds=seconds, **times)
        wait_for(lambda: self._post(call), within=DRAIN_S, every=0.1)
        return call

    def insist(self) -> None:
        """Ask again, in the same bytes, whatever was not answered."""
        for call in self.calls.values():
            wait_for(lambda call=call: self._post(call), within=DRAIN_S, every=0.1)

    def runs(self, call: Call) -> list[dict[str, Any]]:
        """What the fleet says became of it."""
        return list(self.fleet.client().runs(call.job))

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

    def _keep(self, request: Request, *, is_inline: bool = False) -> Call:
        """Write down what is asked, then ask."""
        key = SigningKey.load(account_key_id(ACCOUNT), self.fleet.premises.account_key)
        nodes, sealed = request.target.identities, key.seal(encode(request))
        call = self.calls[request.id] = Call(request.id, nodes, sealed, is_inline=is_inline)
        self._post(call)
        return call

    def _post(self, call: Call) -> bool:
        """Whether the server has accepted it by now."""
        if call.accepted or self.fleet.server.is_paused:  # it would be waited for
            return call.accepted
        transport = self.fleet.client().transport
        try:
            transport.post("jobs", body=call.sealed.encode(), content_type=JOSE)
        except ServerAway:
            return False
        except Problem as problem:
            if problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            return False
        call.accepted = True
        return True
