"""Desk: a database with a control, and a coordinator and nodes whose parts a test plays."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fleetjobs.control.jobs import Control
from fleetjobs.documents import encode
from fleetjobs.jobs import Event, Job, Run
from fleetjobs.messages import Reply, Stage, Verb
from fleetjobs.names import JobId, NodeId
from fleetjobs.requests import Request
from fleetjobs.signing import SERVER, SigningKey
from fleetjobs.states import State
from fleetjobs.store.events import list_events
from fleetjobs.store.handovers import Handover, mark_queued, runs_to_dispatch
from fleetjobs.store.jobs import get_job
from fleetjobs.store.nodes import save_beats
from fleetjobs.store.orders import Instruction, mark_ordered, orders_to_send
from fleetjobs.store.replies import apply_replies
from fleetjobs.store.runs import get_run, list_runs
from fleetjobs.targets import Target
from tests.makers import ORG, Clock, make_beat, make_reply, make_request

MINUTE = timedelta(minutes=1)
KEY = SigningKey.generate(SERVER)
WHO: dict[str, Any] = {"org": ORG, "account": "bob"}


@dataclass
class Desk:
    """What a test says and looks at."""

    control: Control
    clock: Clock
    ours: set[JobId] = field(default_factory=set)  # what it submitted: a database may be shared

    def submit(self, *nodes: str, **changes: Any) -> JobId:
        """A job for demo.echo on these nodes."""
        return self.hand_in(make_request(target=Target(identities=nodes), **changes))

    def hand_in(self, request: Request) -> JobId:
        """The job of this request."""
        job = self.control.submit(KEY.seal(encode(request)), request, org=ORG).job.id
        self.ours.add(job)
        return job

    def edit(self, job: JobId, version: int | None = None, **changes: Any) -> Job:
        """Ask for the job anew."""
        import msgspec

        request = msgspec.structs.replace(self.control.edits.request(job, org=ORG), **changes)
        seen = self.job(job).version if version is None else version
        return self.control.edits.edit(KEY.seal(encode(request)), request, version=seen, **WHO)

    def hand_over(self) -> list[tuple[str, str, int, int]]:
        """Let the broker have what is due: job, node, attempt, generation."""
        now = self.clock()
        with self.control.database.transaction() as connection:
            everything = runs_to_dispatch(connection, now, 100_000)
            due = [item for item in everything if item.job in self.ours]
            mark_queued(connection, due, now, MINUTE)
        return [(item.job, item.node, item.attempt, item.generation) for item in due]

    def handovers(self) -> list[Handover]:
        """What is due for the broker; nothing is noted."""
        with self.control.database.reading() as connection:
            due = runs_to_dispatch(connection, self.clock(), 100_000)
        return [item for item in due if item.job in self.ours]

    def orders(self) -> list[Instruction]:
        """Let the broker have the orders that are due."""
        now = self.clock()
        with self.control.database.transaction() as connection:
            everything = orders_to_send(connection, now, 100_000)
            due = [item for item in everything if item.job in self.ours]
            mark_ordered(connection, due, now, MINUTE)
        return due

    def obey(self) -> list[Verb]:
        """Let nodes answer the orders that are due, as if nothing had begun."""
        orders = self.orders()
        self.say(*(answer_to(order) for order in orders))
        return [order.verb for order in orders]

    def say(self, *replies: Reply) -> set[JobId]:
        """Nodes tell something."""
        with self.control.database.transaction() as connection:
            return apply_replies(connection, replies, self.clock())

    def start(self, job: JobId, node: str = "web1", **changes: Any) -> None:
        """The node says that it began."""
        self.say(make_reply(job, node, stage=Stage.STARTED, **changes))

    def fail(self, job: JobId, node: str = "web1", **changes: Any) -> None:
        """The node says that it ended badly."""
        self.say(make_reply(job, node, **{"state": State.FAILED, "statuscode": 1} | changes))

    def beat(self, *nodes: str) -> None:
        """The nodes live."""
        with self.control.database.transaction() as connection:
            for node in nodes:
                save_beats(connection, [make_beat(node, at=self.clock())], self.clock())

    def job(self, job: JobId) -> Job:
        """How the job stands."""
        with self.control.database.reading() as connection:
            found = get_job(connection, job, org=ORG)
        assert found is not None
        return found

    def run(self, job: JobId, node: str = "web1") -> Run:
        """How its run stands."""
        with self.control.database.reading() as connection:
            found = get_run(connection, job, NodeId(node))
        assert found is not None
        return found

    def runs(self, job: JobId) -> list[Run]:
        """How its runs stand, by node."""
        with self.control.database.reading() as connection:
            return list_runs(connection, job, limit=100).items

    def events(self, job: JobId) -> list[Event]:
        """What happened to it."""
        with self.control.database.reading() as connection:
            return list_events(connection, org=None, job=job, limit=1000)

    def kinds(self, job: JobId) -> list[str]:
        """What happened to it, in a word each."""
        return [event.kind for event in self.events(job)]

    def later(self, by: timedelta) -> datetime:
        """Let time pass."""
        return self.clock.forward(by)


def answer_to(order: Instruction) -> Reply:
    """What a node says on which the attempt has not begun."""
    told: dict[str, Any] = {"attempt": order.attempt, "generation": order.generation}
    if order.verb is Verb.WITHDRAW:
        return make_reply(order.job, order.node, stage=Stage.WITHDRAWN, started_at=None, **told)
    return make_reply(
        order.job, order.node, state=State.CANCELLED, started_at=None, statuscode=1, **told
    )
