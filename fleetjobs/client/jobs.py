"""Job handles: follow an accepted request from Python."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from time import monotonic
from typing import Any

from fleetjobs.client.conditions import Moment
from fleetjobs.client.fleet import LIVE_S, WAIT_S, Fleet
from fleetjobs.client.following import Replies
from fleetjobs.client.replies import Document
from fleetjobs.client.stream import Stream
from fleetjobs.names import JobId
from fleetjobs.states import State
from fleetjobs.targets import make_target


class Job:
    """One accepted request; it goes on whether or not anybody holds this handle."""

    def __init__(self, fleet: Fleet, document: Document, stream: Stream | None = None) -> None:
        """A handle on a job as the server described it; `stream`: what is told of it already."""
        self._fleet = fleet
        self._stream = stream
        self.document = document  #: as last seen

    def __repr__(self) -> str:
        seen = self.document
        return f"<Job {self.id} {seen['agent']}.{seen['action']} {seen['state']}>"

    def __str__(self) -> str:
        return self.id

    @property
    def id(self) -> JobId:
        """Its global name."""
        return JobId(self.document["id"])

    @property
    def state(self) -> State:
        """Where it stands now: asks the server, until the job has ended."""
        if not State(self.document["state"]).is_terminal:
            self.document = self._fleet.job(self.id)
        return State(self.document["state"])

    @property
    def percent(self) -> float | None:
        """How much of it is done, as last seen; 100.0 if and only if it has succeeded."""
        found = self.document.get("percent_complete")
        return None if found is None else float(found)

    @property
    def nodes(self) -> int:
        """On how many nodes it is."""
        return int(self.document["nodes"])

    def wait(self, timeout: float | timedelta | None = None) -> bool:
        """Wait for its end, at most so long (seconds; None: for ever); whether it has ended."""
        limit = _seconds(timeout)
        end = None if limit is None else monotonic() + limit
        while True:
            left = WAIT_S if end is None else end - monotonic()
            self.document = self._fleet.wait(self.id, left)
            if State(self.document["state"]).is_terminal:
                return True
            if end is not None and monotonic() >= end:
                return False

    def runs(self) -> list[Document]:
        """Its runs, one a node, by the node's name."""
        return list(self._fleet.runs(self.id))

    def attempts(self, node: str) -> list[Document]:
        """Every attempt of its run on that node, the first one first."""
        return list(self._fleet.attempts(self.id, node))

    def live(self, timeout: float = LIVE_S) -> Document:
        """What its nodes have on their disks now, and who did not say within so many seconds."""
        return self._fleet.live(self.id, within=timeout)

    def cancel(self, nodes: Iterable[str] | str = (), *, force: bool = False) -> bool:
        """Call it off, on those nodes or on all; whether all is confirmed.

        What has not begun never will; what runs is ended, within seconds. Nodes that are away
        confirm when they are back. `force`: it is over now, whatever its nodes know.
        """
        return self._act("cancel", nodes, force=force)

    def hold(self, nodes: Iterable[str] | str = ()) -> bool:
        """Set it aside before it begins; whether all is confirmed."""
        return self._act("hold", nodes)

    def release(self, nodes: Iterable[str] | str = ()) -> bool:
        """Let what was held go on; whether all is confirmed."""
        return self._act("release", nodes)

    def retry(
        self,
        nodes: Iterable[str] | str = (),
        *,
        mode: str | None = None,
        rollback_to: Iterable[str] = (),
    ) -> "Job":
        """Try again what went wrong: this job if it lives, else a new one on the nodes it failed.

        `mode` of legs that wait for a person: as_is, rollback_self, or rollback_to with the keys
        of earlier legs. Raises Problem if nothing went wrong.
        """
        wish: dict[str, Any] = _on(nodes) | ({} if mode is None else {"mode": mode})
        keys = list(rollback_to)
        wish |= {"rollback_to": keys} if keys else {}
        return Job(self._fleet, self._fleet.act(self.id, "retry", wish))

    def rerun(self) -> "Job":
        """The same request once more, on all nodes: a new job."""
        return Job(self._fleet, self._fleet.act(self.id, "rerun", {"id": new_id()}))

    def resolve(self, state: State | str, nodes: Iterable[str] | str = ()) -> bool:
        """Say what came of runs that wait for a person: `succeeded` or `failed`."""
        return self._act("resolve", nodes, **{"as": str(state)})

    def edit(
        self,
        *,
        data: Mapping[str, Any] | None = None,
        at: Moment | None = None,
        start_before: Moment | None = None,
        nodes: Iterable[str] | None = None,
        priority: int | None = None,
        splay: timedelta | None = None,
    ) -> bool:
        """Change what has not begun: inputs, times, nodes, priority; whether all is confirmed.

        `data` replaces those inputs and leaves the others. Raises Problem: 409 if it has begun,
        412 if somebody else changed it since this handle last looked.
        """
        from fleetjobs.client.editing import edit  # late: few jobs are edited

        target = None if nodes is None else make_target(identities=nodes)
        self.document = edit(
            self._fleet,
            self.document,
            data=data,
            at=at,
            start_before=start_before,
            target=target,
            priority=priority,
            splay=splay,
        )
        return self.is_confirmed

    @property
    def is_confirmed(self) -> bool:
        """Whether its nodes know all that was asked for, as last seen."""
        return bool(self.document.get("confirmed", True))

    def _act(self, verb: str, nodes: Iterable[str] | str, **more: Any) -> bool:
        self.document = self._fleet.act(self.id, verb, {**_on(nodes), **more})
        return self.is_confirmed

    def replies(
        self, timeout: float | timedelta | None = None, *, skip_silent: bool = False
    ) -> Replies:
        """Its replies as they come, those that came already first; at most so long (seconds).

        `skip_silent`: nor longer than there are nodes left that were heard of lately.
        """
        stream, self._stream = self._stream, None
        seconds = _seconds(timeout)
        return Replies(self._fleet, self, seconds, skip_silent=skip_silent, stream=stream)


def new_id() -> str:
    """A name for a job to be."""
    from uuid_utils.compat import uuid7

    return str(uuid7())


def _on(nodes: Iterable[str] | str) -> dict[str, Any]:
    names = [nodes] if isinstance(nodes, str) else list(nodes)
    return {"target": {"identities": names}} if names else {}


def _seconds(timeout: float | timedelta | None) -> float | None:
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
