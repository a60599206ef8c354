"""rpcclient: an agent's actions as Python functions.

puppet = rpcclient("puppet", facts={"os.name": "Debian"}, limit="10%")
for reply in puppet.status():
    print(reply.sender, reply.statusmsg, reply.data)

job = puppet.submit("runonce", forcerun=True)
plan = Fleet.connect().submit(celery.chain(puppet.enable.s(), puppet.runonce.s()))
job = puppet.schedule(at="tomorrow 4am").runonce(forcerun=True)
job = puppet.runonce(forcerun=True, schedule="background")
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, overload

from fleetjobs.client.asking import Call, aim, deadline_of, fetch_interface, follow, submit, utc_now
from fleetjobs.client.conditions import AT_ONCE, Conditions, Moment, make_conditions
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.following import Replies
from fleetjobs.client.jobs import Job
from fleetjobs.client.later import Later, read_schedule
from fleetjobs.errors import Fault
from fleetjobs.interfaces import Action, Interface
from fleetjobs.rollouts import Rollout
from fleetjobs.targets import Target, make_target

SCHEDULE = "schedule"  #: makes a call a job for later, as its authors wrote it


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

    def submit(
        self,
        action: str,
        /,
        *,
        at: Moment | None = None,
        delay: float | timedelta | None = None,
        after: object = (),
        start_before: Moment | None = None,
        retries: int | None = None,
        rollout: Rollout | None = None,
        inputs: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Job:
        """Ask for the action and come back at once.

        Inputs are keywords; those named like a parameter go into `inputs`. See `schedule` for the
        conditions. Raises UnknownAction, MissingInput, InvalidInput, InvalidTime, NoNodes, Denied
        and what else refuses it; then there is no job.
        """
        conditions = make_conditions(
            self._clock(),
            at=at,
            delay=delay,
            after=after,
            start_before=start_before,
            retries=retries,
            rollout=rollout,
        )
        return self._ask(action, {**(inputs or {}), **more}, conditions)

    def schedule(
        self,
        *,
        at: Moment | None = None,
        delay: float | timedelta | None = None,
        after: object = (),
        start_before: Moment | None = None,
        retries: int | None = None,
        rollout: Rollout | None = None,
        background: bool = True,  # noqa: ARG002  says what it is; there is no other way
    ) -> Later:
        """The same agent, for later: its actions give a Job at once.

        `at`: a time, such as "2026-12-01 04:00", "tomorrow 4am" or an aware datetime; or `delay`
        in seconds. `after`: a Job, an id, or "JOB[@node][:succeeded|failed|completed|always]", or
        several: it waits until they ended so. `start_before`: too late from then on, or "never";
        an hour after `at` unless told otherwise. `retries`: how often more it is tried when it
        fails. Raises InvalidTime, InvalidDocument.
        """
        conditions = make_conditions(
            self._clock(),
            at=at,
            delay=delay,
            after=after,
            start_before=start_before,
            retries=retries,
            rollout=rollout,
        )
        return Later(self._ask, conditions)

    def _ask(self, action: str, inputs: Mapping[str, Any], conditions: Conditions) -> Job:
        wanted = self._checked(action, inputs, conditions)
        return Job(self._fleet, submit(self._fleet, wanted, clock=self._clock))

    def _checked(self, action: str, inputs: Mapping[str, Any], conditions: Conditions) -> Call:
        self.interface.action(action).check(inputs)
        return Call(
            agent=self._agent,
            action=action,
            data=inputs,
            target=aim(self._target, self._agent),
            conditions=conditions,
        )

    def _call(self, action: str, inputs: dict[str, Any]) -> "Replies | Job":
        declared: Action = self.interface.action(action)
        if SCHEDULE in inputs and SCHEDULE not in declared.inputs:
            conditions = read_schedule(inputs.pop(SCHEDULE))
            return self.submit(action, inputs=inputs, **conditions)
        wanted = self._checked(action, inputs, AT_ONCE)
        job = Job(self._fleet, *follow(self._fleet, wanted, clock=self._clock))
        if self._timeout is None:
            return job.replies(deadline_of(declared.timeout), skip_silent=True)
        return job.replies(self._timeout)


class BoundAction:
    """One action, ready to be called."""

    def __init__(self, client: RpcClient, name: str) -> None:
        """The action of that name on the client's target."""
        self._client = client
        self._name = name

    def __repr__(self) -> str:
        return f"<BoundAction {self._name} of {self._client!r}>"

    @overload
    def __call__(self, *, schedule: object, **inputs: Any) -> Job: ...

    @overload
    def __call__(self, **inputs: Any) -> Replies: ...

    def __call__(self, **inputs: Any) -> Replies | Job:
        """Ask for it now; gives the replies as they come. Raises what `submit` raises.

        With `schedule="background"`, or a time for it, gives a Job: SimpleRPC's own spelling,
        unless the action has an input of that name. See `RpcClient.schedule`.
        """
        return self._client._call(self._name, inputs)  # noqa: SLF001  the other half of one class

    def s(self, *args: Any, **inputs: Any) -> Any:
        """The call as one of Celery's signatures, for its chain, group and chord.

        `fleet.submit` makes a plan of them. Raises InvalidInput for positional arguments,
        InvalidSetting where Celery is not installed.
        """
        return self._signature(args, inputs)

    def si(self, *args: Any, **inputs: Any) -> Any:
        """The same as `s`: what came before is never prepended to anything."""
        return self._signature(args, inputs, immutable=True)

    def signature(
        self,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        immutable: bool = False,
        **options: Any,
    ) -> Any:
        """The same with options, as Celery's own: `signature(kwargs={…}, countdown=10)`."""
        return self._signature(args, kwargs or {}, immutable=immutable, options=options)

    def _signature(self, args: Iterable[Any], inputs: Mapping[str, Any], **more: Any) -> Any:
        from fleetjobs.client.canvas import make_signature  # late: Celery comes with it

        agent, target = self._client._agent, self._client._target  # noqa: SLF001  as above
        return make_signature(f"{agent}.{self._name}", args, inputs, aim(target, agent), **more)


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
