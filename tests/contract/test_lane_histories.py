"""Limits under random histories: never too many, no slot without a run, nobody left out."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from fleetjobs.control.jobs import Control
from fleetjobs.coordinator.dispatcher import Dispatcher
from fleetjobs.limits import Limit, Scope
from fleetjobs.names import JobId, NodeId
from fleetjobs.signing import COORDINATOR, SigningKey
from fleetjobs.states import Reason, State
from fleetjobs.store.database import Database
from fleetjobs.store.limits import set_limit
from fleetjobs.store.schema.gates import limits
from fleetjobs.store.schema.runs import runs
from fleetjobs.targets import Target
from tests.contract.shares import ONE_DATABASE
from tests.desk import Desk
from tests.makers import Clock, enroll, make_reply, make_request
from tests.unit.coordinator.fakes import FakePublisher

NODES = ("web1", "web2", "web3")
KEY = SigningKey.generate(COORDINATOR)
ENDS = (
    {"state": State.SUCCEEDED},
    {"state": State.FAILED, "reason": Reason.LOAD_ERROR, "statuscode": 5},
    {"state": State.FAILED, "reason": Reason.INTERRUPTED, "statuscode": 5},
)
STEPS = st.one_of(
    st.tuples(st.just("submit"), st.sampled_from(NODES), st.integers(0, 1)),
    st.tuples(st.just("end"), st.integers(0, 20), st.integers(0, 2)),
    st.tuples(st.just("start"), st.integers(0, 20), st.just(0)),
    st.tuples(st.just("cancel"), st.integers(0, 20), st.just(0)),
    st.tuples(st.just("hold"), st.integers(0, 20), st.just(0)),
    st.tuples(st.just("release"), st.integers(0, 20), st.just(0)),
    st.tuples(st.just("limit"), st.integers(1, 4), st.sampled_from([Scope.FLEET, Scope.NODE])),
    st.tuples(st.just("hand over"), st.just(0), st.just(0)),
)


class World:
    """A desk, and what a plain reading of the runs says of it."""

    def __init__(self, database: Database) -> None:
        """Three nodes, and at most two at once."""
        self.clock = Clock()
        self.desk = Desk(Control(database, self.clock), self.clock)
        self.dispatcher = Dispatcher(database, FakePublisher(), KEY, self.clock)
        self.jobs: list[JobId] = []
        self.most = {Scope.FLEET: 0, Scope.NODE: 0}
        self.limit(2, Scope.FLEET)

    def limit(self, most: int, scope: Scope) -> None:
        """What is at work stays; a lower limit is kept by what begins later."""
        found = Limit(action="demo.echo", scope=scope, most=most)
        with self.desk.control.database.transaction() as connection:
            set_limit(connection, found, by="bob", now=self.clock())
        self.most[scope] = most

    def hand_over(self) -> None:
        """Until nothing moves."""
        before = self.with_nodes()
        while self.dispatcher.step():
            pass
        self.check(before)

    def with_nodes(self) -> set[tuple[str, str]]:
        """The runs that nodes have, or may have."""
        with self.desk.control.database.reading() as connection:
            rows = connection.execute(select(runs.c.job, runs.c.node, runs.c.state)).all()
        at_nodes = {State.QUEUED, State.RUNNING, State.CANCELLING}
        ours = set(self.jobs)
        return {(row.job, row.node) for row in rows if row.state in at_nodes and row.job in ours}

    def check(self, before: set[tuple[str, str]]) -> None:
        """No more than may, but for what was at work already; and nobody waits in vain."""
        now = self.with_nodes()
        if now - before:
            assert len(now) <= max(self.most[Scope.FLEET], len(before))
        nodes = Counter(node for _, node in now)
        if self.most[Scope.NODE]:
            old = Counter(node for _, node in before)
            for node, count in nodes.items():
                assert count <= max(self.most[Scope.NODE], old[node])
        with self.desk.control.database.reading() as connection:
            rows = connection.execute(
                select(runs).where(runs.c.lane.is_not(None), runs.c.job.in_(self.jobs))
            ).all()
        slots = {(row.job, row.node) for row in rows if row.slot_at is not None}
        assert slots == now, "slots are held by live runs, and by all of those"
        for row in rows:
            full = len(now) >= self.most[Scope.FLEET]
            most = self.most[Scope.NODE]
            full_there = bool(most) and nodes[row.node] >= most
            assert row.slot_at is not None or full or full_there, "it waits in vain"

    def do(self, step: tuple[str, object, object]) -> None:
        """One thing that happens."""
        verb, first, second = step
        self.clock.forward(timedelta(seconds=1))
        if verb == "submit":
            target = Target(identities=(str(first),))
            self.jobs.append(
                self.desk.hand_in(make_request(target=target, priority=int(str(second))))
            )
        elif verb == "limit":
            self.limit(int(str(first)), Scope(str(second)))
        elif verb == "hand over":
            self.hand_over()
        elif self.jobs:
            self._to_job(verb, self.jobs[int(str(first)) % len(self.jobs)], int(str(second)))

    def _to_job(self, verb: str, job: JobId, which: int) -> None:
        (run,) = self.desk.runs(job)
        who = {"org": "acme", "account": "bob"}
        if verb in {"end", "start"} and run.state in {State.QUEUED, State.RUNNING}:
            if verb == "start":
                self.desk.start(job, run.node)
            else:
                self.desk.say(make_reply(job, run.node, **ENDS[which]))
        elif verb == "cancel" and run.state in {State.WAITING, State.SCHEDULED}:
            self.desk.control.verbs.cancel(job, **who, force=True)
        elif verb == "hold" and run.state is State.WAITING:
            self.desk.control.verbs.hold(job, **who)
        elif verb == "release" and run.state is State.PAUSED:
            self.desk.control.verbs.release(job, **who)


@pytest.fixture
def three(database: Database) -> Database:
    """A database that knows three nodes."""
    enroll(database, *NODES)
    return database


@pytest.mark.spec("F21")
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEPS, min_size=5, max_size=40))
def test_no_history_leaves_a_slot_or_gives_one_too_many(
    three: Database, steps: list[tuple[str, object, object]]
) -> None:
    """Whatever is asked, ends, is held or called off, in whatever order."""
    with three.transaction() as connection:
        connection.execute(runs.delete())
        connection.execute(limits.delete())
    world = World(three)

    for step in steps:
        world.do(step)
    world.hand_over()


@pytest.mark.spec("F21")
@pytest.mark.spec("I10")
@pytest.mark.slow
@ONE_DATABASE
def test_ten_thousand_holders_that_die_leave_no_slot(database: Database) -> None:
    """Killed before they begin, at work, or with an agent that cannot be loaded."""
    enroll(database, *(f"n{number}" for number in range(100)))
    clock = Clock()
    desk = Desk(Control(database, clock), clock)
    dispatcher = Dispatcher(database, FakePublisher(), KEY, clock)
    nodes = [f"n{number}" for number in range(100)]
    most = 500
    with database.transaction() as connection:
        found = Limit(action="demo.echo", scope=Scope.FLEET, most=most)
        set_limit(connection, found, by="bob", now=clock())
    jobs = [desk.submit(*nodes) for _ in range(100)]
    died = 0
    while True:
        while dispatcher.step():
            pass
        with database.reading() as connection:
            held = connection.execute(
                select(runs.c.job, runs.c.node).where(runs.c.slot_at.is_not(None))
            ).all()
        assert len(held) <= most
        if not held:
            break
        ends = [ENDS[1 + number % 2] for number in range(len(held))]
        desk.say(
            *(
                make_reply(JobId(row.job), NodeId(row.node), **end)
                for row, end in zip(held, ends, strict=True)
            )
        )
        died += len(held)

    assert died == 10_000
    assert all(desk.job(job).state is State.FAILED for job in jobs)
