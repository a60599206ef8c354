"""rpcclient: an agent's actions as Python functions.

puppet = rpcclient("puppet", facts={"os.name": "Debian"}, limit="10%")
for reply in puppet.status():
    print(reply.sender, reply.statusmsg, reply.data)

job = puppet.submit("runonce", forcerun=True)
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from fleetjobs.client.asking import Call, aim, deadline_of, fetch_interface, submit, utc_now
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.jobs import Job, Replies
from fleetjobs.client.moments import read_moment
from fleetjobs.errors import Fault, InvalidTime
from fleetjobs.interfaces import Action, Interface
from fleetjobs.targets import Target, make_target

SCHEDULE = "schedule"  #: a keyword of every action that does not have it itself
BACKGROUND = "background"  #: its value for: at once, but do not wait


class RpcClient:
    """One agent on one target. Any other name on it is an action: `client.status(verbose=True)`."""

    def __init__(
        self,
        fleet: Fleet,
        agent: str,
        target: Target,
        *,
        timeout: float | timedelta | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Nothing is asked before the first call. `timeout`: see `rpcclient`."""
        self._fleet = fleet
        self._agent = agent
        self._target = target
        self._timeout = timeout
        self._clock = clock
        self._interface: Interface | None = None

    def __repr__(self) -> str:
        return f"<RpcClient {self._agent}>"

    def __getattr__(self, name: str) -> "BoundAction":
        """The action of that name; whether there is one is seen when it is called."""
        if name.startswith("_"):
            raise AttributeError(name)
        return self.action(name)

    def __dir__(self) -> list[str]:
        """Actions too, so that an interactive Python can complete them."""
        try:
            actions = list(self.interface.actions)
        except Fault:
            actions = []
        return [*super().__dir__(), *actions]

    @property
    def interface(self) -> Interface:
        """What the agent declares; asked for once. Raises UnknownAgent, ServerAway."""
        if self._interface is None:
            self._interface = fetch_interface(self._fleet, self._agent)
        return self._interface

    def action(self, name: str) -> "BoundAction":
        """The action of that name, also one named like a method: `client.action("submit")()`."""
        return BoundAction(self, name)

    def schedule(self, *, at: datetime | str | None = None) -> "Schedule":
        """The actions, to be asked for and not waited for: `client.schedule(at=…).status()`.

        `at`: not before then; an aware datetime, or a text such as `2026-12-01 04:00` (local) or
        `+2h`; None: at once, in the background. Raises InvalidTime.
        """
        return Schedule(self, self._moment(at))

    def submit(
        self,
        action: str,
        /,
        *,
        not_before: datetime | None = None,
        start_before: datetime | None = None,
        inputs: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Job:
        """Ask for the action and come back at once.

        Inputs are keywords; those named like a parameter go into `inputs`. Times are aware.
        Raises UnknownAction, MissingInput, InvalidInput, NoNodes, Denied and what else refuses it;
        then there is no job.
        """
        data = {**(inputs or {}), **more}
        self.interface.action(action).check(data)
        call = Call(
            agent=self._agent,
            action=action,
            data=data,
            target=aim(self._target, self._agent),
            not_before=not_before,
            start_before=start_before,
        )
        return Job(self._fleet, submit(self._fleet, call, clock=self._clock))

    def _call(self, action: str, inputs: Mapping[str, Any]) -> Replies:
        declared: Action = self.interface.action(action)
        job = self.submit(action, inputs=inputs)
        if self._timeout is None:
            return job.replies(deadline_of(declared.timeout), skip_silent=True)
        return job.replies(self._timeout)

    def _later(self, action: str, inputs: Mapping[str, Any], at: datetime | str | None) -> Job:
        return self.submit(action, inputs=inputs, not_before=self._moment(at))

    def _moment(self, at: datetime | str | None) -> datetime | None:
        if at is None or at == BACKGROUND:
            return None
        if isinstance(at, str):
            return read_moment(at, self._clock())
        if at.tzinfo is None:
            raise InvalidTime(f"{at} has no zone; use an aware datetime")
        return at


class Schedule:
    """An agent's actions, to be done later: each gives the job, and does not wait for it."""

    def __init__(self, client: RpcClient, at: datetime | None) -> None:
        """For that time; None: at once."""
        self._client = client
        self._at = at

    def __getattr__(self, name: str) -> Callable[..., Job]:
        """The action of that name; whether there is one is seen when it is called."""
        if name.startswith("_"):
            raise AttributeError(name)
        return self.action(name)

    def action(self, name: str) -> Callable[..., Job]:
        """The action of that name, also one named `action`."""
        return lambda **inputs: self._client._later(name, inputs, self._at)  # noqa: SLF001  its half


class BoundAction:
    """One action, ready to be called."""

    def __init__(self, client: RpcClient, name: str) -> None:
        """The action of that name on the client's target."""
        self._client = client
        self._name = name

    def __repr__(self) -> str:
        return f"<BoundAction {self._name} of {self._client!r}>"

    def __call__(self, **inputs: Any) -> Any:
        """Ask for it now; gives the replies as they come. Raises what `submit` raises.

        With `schedule="background"`, or a time, it gives the job instead and does not wait, as
        SimpleRPC's queue was to do; unless the action itself has an input of that name.
        """
        client = self._client
        if SCHEDULE in inputs and SCHEDULE not in client.interface.action(self._name).inputs:
            at = inputs.pop(SCHEDULE)
            return client._later(self._name, inputs, at)  # noqa: SLF001  two halves of one class
        return client._call(self._name, inputs)  # noqa: SLF001


def rpcclient(  # noqa: PLR0913  every way of naming nodes that SimpleRPC has, all optional
    agent: str,
    *,
    nodes: Iterable[str] = (),
    facts: Mapping[str, object] | Iterable[str] = (),
    classes: Iterable[str] = (),
    agents: Iterable[str] = (),
    compound: str | None = None,
    org: str | None = None,
    limit: str | int | None = None,
    method: str = "first",
    seed: int | None = None,
    timeout: float | timedelta | None = None,
    config: Path | str | None = None,
    fleet: Fleet | None = None,
) -> RpcClient:
    """An agent on the nodes that pass all that is given; on all that have it without any.

    `nodes`: names, or /regex/. `facts`: {"os": "Debian"}, or texts such as "cpus>=4".
    `limit`: 5 or "10%". `timeout`: how long a call waits for replies (seconds; by default the
    action's own and some, less for nodes that are known to be away). `config`: a client.toml.
    Raises InvalidTarget, InvalidSetting.
    """
    if isinstance(nodes, str):
        nodes = [nodes]
    if isinstance(facts, Mapping):
        facts = [f"{name}={_in_text(value)}" for name, value in facts.items()]
    target = make_target(
        identities=nodes,
        facts=facts,
        classes=classes,
        agents=agents,
        compound=compound,
        org=org,
        limit=limit,
        method=method,
        seed=seed,
    )
    found = fleet or Fleet.connect(None if config is None else Path(config))
    return RpcClient(found, agent, target, timeout=timeout)


def _in_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
