"""Fleet: what a server can be asked, as documents in and documents out."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleetjobs.client.profile import find_profile
from fleetjobs.client.replies import Document
from fleetjobs.client.transport import ANSWER_S, Query, Transport
from fleetjobs.errors import Problem, UnknownAgent

if TYPE_CHECKING:  # they stand above: a fleet knows plans only when one is handed in
    from fleetjobs.client.conditions import Moment
    from fleetjobs.client.plans import PlanJob
    from fleetjobs.targets import Target

PAGE = 500  #: the most the server gives at once
WAIT_S = 60.0  #: the longest the server lets one question wait
LIVE_S = 5.0  #: how long nodes may take to say what they have
NOT_FOUND = 404


class Fleet:
    """One server's nodes, agents and jobs."""

    def __init__(self, transport: Transport) -> None:
        """Ask by that transport."""
        self.transport = transport

    @classmethod
    def connect(cls, config: Path | None = None) -> "Fleet":
        """The fleet of the profile found. Raises InvalidSetting; nothing is asked yet."""
        return cls(Transport(find_profile(config)))

    def pages(self, *path: str, query: Query = (), most: int | None = None) -> Iterator[Document]:
        """The items of a list, page by page; at most so many."""
        query, left, cursor = list(query), most, None
        while left is None or left > 0:
            limit = PAGE if left is None else min(PAGE, left)
            page = self.transport.get(*path, query=[*query, ("limit", limit), ("cursor", cursor)])
            yield from page["items"]
            left = None if left is None else left - len(page["items"])
            cursor = page.get("next")
            if not cursor:
                return

    def nodes(self, query: Query = ()) -> list[Document]:
        """The nodes that a query picks, by name; see `asking.query_of`."""
        found: list[Document] = self.transport.get("nodes", query=query)["items"]
        return found

    def node(self, identity: str) -> Document:
        """One node. Raises Problem (404) if there is none."""
        return self._document("nodes", identity)

    def remove_node(self, identity: str, *, force: bool = False) -> Document:
        """Take a node off, a living one if forced; how many runs it left undone. Raises Problem."""
        query: Query = [("force", "true")] if force else []
        found: Document = self.transport.send("DELETE", "nodes", identity, body=b"", query=query)
        return found

    def node_agents(self, identity: str) -> Document:
        """The agents of a node, and those it refused. Raises Problem (404) if there is none."""
        return self._document("nodes", identity, "agents")

    def agents(self) -> list[Document]:
        """The agents that nodes have, by name."""
        found: list[Document] = self.transport.get("agents")["items"]
        return found

    def agent(self, name: str) -> Document:
        """One agent and its interface document. Raises UnknownAgent, naming those like it."""
        try:
            return self._document("agents", name)
        except Problem as problem:
            if problem.status != NOT_FOUND:
                raise
            names = [agent["name"] for agent in self.agents()]
        raise UnknownAgent(f"no node has an agent {name!r}{nearest(name, names)}")

    def jobs(self, query: Query = (), most: int | None = None) -> Iterator[Document]:
        """Jobs, the newest first."""
        return self.pages("jobs", query=query, most=most)

    def job(self, job: str) -> Document:
        """One job. Raises Problem (404) if there is none."""
        return self._document("jobs", job)

    def wait(self, job: str, within: float) -> Document:
        """The job once it has ended, or as it stands after so many seconds, WAIT_S at most."""
        patience = min(max(within, 0.0), WAIT_S)
        query = [("timeout", f"{patience:.1f}")]
        found: Document = self.transport.get(
            "jobs", job, "wait", query=query, within=patience + ANSWER_S
        )
        return found

    def runs(self, job: str, query: Query = ()) -> Iterator[Document]:
        """The runs of a job, by node."""
        return self.pages("jobs", job, "runs", query=query)

    def run(self, job: str, node: str) -> Document:
        """The run of a job on one node. Raises Problem (404) if there is none."""
        return self._document("jobs", job, "runs", node)

    def log(
        self, job: str, node: str, stream: str, query: Query = ()
    ) -> tuple[bytes, Mapping[str, str]]:
        """Bytes a run wrote to `stdout` or `stderr`, and the headers that say where they end."""
        return self.transport.get_bytes("jobs", job, "runs", node, "logs", stream, query=query)

    def attempts(self, job: str, node: str) -> Iterator[Document]:
        """Every attempt of a run, the first one first."""
        return self.pages("jobs", job, "runs", node, "attempts")

    def live(self, job: str, query: Query = (), within: float = LIVE_S) -> Document:
        """What the job's nodes have on their disks now, and which of them did not say."""
        asked = [*query, ("timeout", f"{within:.1f}")]
        found: Document = self.transport.get(
            "jobs", job, "live", query=asked, within=within + ANSWER_S
        )
        return found

    def legs(self, job: str) -> Iterator[Document]:
        """The legs and groups of a plan, each after what it needs."""
        return self.pages("jobs", job, "legs")

    def submit(
        self,
        work: Any,
        *,
        name: str | None = None,
        target: "Target | None" = None,
        on_failure: str | None = None,
        max_failures: int | str | None = None,
        priority: int | None = None,
        at: "Moment | None" = None,
        start_before: "Moment | None" = None,
    ) -> "PlanJob":
        """Hand in a plan: a canvas of signatures, a `Plan`, or its document.

        `on_failure`: fail, pause, rollback or continue. `max_failures`: so many of its legs may
        fail (2 or "10%"). `priority`: of its legs, where an action has a limit. `target`: of legs
        that have none. `at`, `start_before`: see `rpcclient().schedule`. Raises InvalidPlan naming
        the leg, Problem, ServerAway.
        """
        from fleetjobs.client.asking import utc_now
        from fleetjobs.client.conditions import make_conditions
        from fleetjobs.client.plans import PlanJob, make_plan, submit_plan

        plan = make_plan(
            work,
            target=target,
            name=name,
            on_failure=on_failure,
            max_failures=max_failures,
            priority=priority,
        )
        conditions = make_conditions(utc_now(), at=at, start_before=start_before)
        return PlanJob(self, submit_plan(self, plan, conditions))

    def act(self, job: str, verb: str, wish: Mapping[str, Any] | None = None) -> Document:
        """Have something done to a job: cancel hold release retry rerun resolve; the job then."""
        return self.tell("jobs", job, verb, wish=wish)

    def tell(
        self, *path: str, method: str = "POST", wish: Mapping[str, Any] | None = None
    ) -> Document:
        """What the server answers to a wish."""
        body = json.dumps(wish or {}, ensure_ascii=False, allow_nan=False).encode()
        found: Document = self.transport.send(method, *path, body=body)
        return found

    def events(self, job: str, query: Query = ()) -> Iterator[Document]:
        """What happened to a job, the oldest first."""
        after: str | None = None
        while True:
            asked = [*query, ("limit", PAGE), ("after", after)]
            page = self.transport.get("jobs", job, "events", query=asked)
            yield from page["items"]
            after = page.get("next")
            if not after:
                return

    def attention(self) -> Iterator[Document]:
        """The runs that wait for a person to decide."""
        return self.pages("attention")

    def coordinator(self) -> Document:
        """Who hands jobs over, and whether."""
        return self._document("coordinator")

    def outbox(self) -> Iterator[Document]:
        """The runs that wait to be handed over."""
        return self.pages("coordinator", "outbox")

    def status(self) -> Document:
        """How server, coordinator and nodes are."""
        return self._document("status")

    def _document(self, *path: str) -> Document:
        found: Document = self.transport.get(*path)
        return found


def nearest(word: str, known: list[str]) -> str:
    """The end of a sentence about an unknown name: those like it, or else what there is."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=3, cutoff=0.6)
    close = close or [name for name in sorted(known) if len(word) > 1 and word in name][:3]
    if close:
        return f"; did you mean {' or '.join(close)}?"
    if not known:
        return "; there is none at all"
    few = 12
    more = f" and {len(known) - few} more" if len(known) > few else ""
    return f"; there are {', '.join(sorted(known)[:few])}{more}"
