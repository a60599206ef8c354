"""Whatever people, nodes and time do to jobs, in whatever order: what must hold, holds."""

import contextlib
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetjobs.control.jobs import Control
from fleetjobs.coordinator.reaper import Reaper
from fleetjobs.errors import Conflict, InvalidTime
from fleetjobs.jobs import Event
from fleetjobs.messages import Stage
from fleetjobs.names import JobId, NodeId
from fleetjobs.requests import After
from fleetjobs.states import MOVES, Reason, State, completion
from fleetjobs.store.database import Database
from fleetjobs.targets import Target
from tests.desk import WHO, Desk
from tests.makers import Clock, add_org, enroll, make_reply

NODES = ("a", "b")
JOBS = ("first", "second", "third")  # each waits for the one before


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """One for all examples: each makes jobs of its own."""
    path: Path = tmp_path_factory.mktemp("histories") / "fleetjobs.sqlite"
    opened = Database.open(f"sqlite:///{path}")
    opened.migrate()
    add_org(opened)
    enroll(opened, *NODES)
    return opened


jobs = st.sampled_from(JOBS)
some = st.one_of(st.none(), st.lists(st.sampled_from(NODES), min_size=1, max_size=2))
a_reply = st.fixed_dictionaries(
    {"node": st.sampled_from(NODES), "stage": st.sampled_from(Stage)},
    optional={
        "state": st.sampled_from([State.SUCCEEDED, State.FAILED, State.CANCELLED, State.EXPIRED]),
        "reason": st.sampled_from([None, Reason.EXIT_CODE, Reason.DENIED, Reason.CANCELLED]),
        "attempt": st.integers(1, 3),
        "generation": st.integers(0, 4),
        "delay_s": st.sampled_from([None, 0.0, 600.0]),
    },
)
happenings = st.lists(
    st.one_of(
        st.tuples(st.just("say"), jobs, a_reply),
        st.tuples(st.just("hand over"), st.none(), st.none()),
        st.tuples(st.just("obey"), st.none(), st.none()),
        st.tuples(st.just("beat"), st.none(), st.lists(st.sampled_from(NODES), max_size=2)),
        st.tuples(st.just("wait"), st.none(), st.sampled_from([1, 90, 4000, 200_000])),
        st.tuples(st.just("cancel"), jobs, st.tuples(some, st.booleans())),
        st.tuples(st.sampled_from(["hold", "release", "retry", "resume"]), jobs, some),
        st.tuples(st.just("resolve"), jobs, st.sampled_from([State.SUCCEEDED, State.FAILED])),
        st.tuples(
            st.just("edit"),
            jobs,
            st.sampled_from(
                [
                    {"data": {"text": "b"}},
                    {"target": Target(identities=("a",))},
                    {"target": Target(identities=("a", "b"))},
                    {"after": ()},
                ]
            ),
        ),
    ),
    max_size=14,
)


class History:
    """Three jobs, and what happens to them."""

    def __init__(self, database: Database, retries: int | None) -> None:
        clock = Clock()
        self.desk = Desk(Control(database, clock), clock)
        self.desk.beat(*NODES)
        self.jobs: dict[str, JobId] = {}
        before: tuple[After, ...] = ()
        for name in JOBS:
            self.jobs[name] = self.desk.submit(*NODES, retries=retries, after=before)
            before = (After(job=self.jobs[name]),)
        self.ends: dict[tuple[str, str], State] = {}

    def happen(self, what: str, job: str | None, how: Any) -> None:
        """Let it happen, as a person, a node or the coordinator would."""
        acts: dict[str, Callable[[], object]] = {
            "hand over": self.desk.hand_over,
            "obey": self.desk.obey,
            "beat": lambda: self.desk.beat(*how),
            "wait": lambda: self._wait(how),
        }
        with contextlib.suppress(Conflict, InvalidTime):
            if job is None:
                acts[what]()
            else:
                self._do(what, self.jobs[job], how)
        self.check_ends()

    def _wait(self, seconds: int) -> None:
        since = self.desk.clock() - timedelta(days=1)
        self.desk.later(timedelta(seconds=seconds))
        Reaper(self.desk.control.database, self.desk.clock, lambda: since).step()

    def _do(self, what: str, job: JobId, how: Any) -> None:
        if what == "say":
            self.desk.say(make_reply(job, **how))
        elif what == "edit":
            self.desk.edit(job, **how)
        elif what == "resolve":
            self.desk.control.verbs.resolve(job, outcome=how, **WHO)
        elif what == "cancel":
            nodes, force = how
            self.desk.control.verbs.cancel(job, nodes=_named(nodes), force=force, **WHO)
        else:
            getattr(self.desk.control.verbs, what)(job, nodes=_named(how), **WHO)

    def check_ends(self) -> None:
        """What ended stays as it ended."""
        for job in self.jobs.values():
            for name, state in [("", self.desk.job(job).state), *self._states(job)]:
                assert self.ends.get((job, name), state) is state
                if state.is_terminal:
                    self.ends[job, name] = state

    def standing(self, job: JobId) -> dict[NodeId | None, State]:
        """How the job (None) and its runs stand."""
        runs = {run.node: run.state for run in self.desk.runs(job)}
        return {None: self.desk.job(job).state, **runs}

    def _states(self, job: JobId) -> list[tuple[str, State]]:
        return [(run.node, run.state) for run in self.desk.runs(job)]


def _named(nodes: list[str] | None) -> list[NodeId] | None:
    return None if nodes is None else [NodeId(node) for node in nodes]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(retries=st.sampled_from([None, 1]), script=happenings)
def test_every_history_is_legal(
    database: Database, retries: int | None, script: list[tuple[str, str | None, Any]]
) -> None:
    history = History(database, retries)

    for what, job, how in script:
        history.happen(what, job, how)

    for job in history.jobs.values():
        check_job(history.desk, job)


def check_job(desk: Desk, job: JobId) -> None:
    """Tally, states, events and flags agree, and every move was legal."""
    found, runs, events = desk.job(job), desk.runs(job), desk.events(job)
    assert found.tally == Counter(run.state for run in runs)
    assert follow(events, None) in {found.state, None}
    for run in runs:
        assert follow(events, run.node) in {run.state, None}
        assert run.attention == (run.state is State.PAUSED and run.reason is not Reason.HOLD) or (
            run.state is State.CANCELLING
        )
        if run.state.is_terminal:
            assert run.ended_at is not None
    assert found.attention == any(run.attention for run in runs)
    ended = all(run.state.is_terminal for run in runs)
    assert found.state.is_terminal == ended
    assert (found.ended_at is not None) == ended
    assert found.completion == (completion(found.tally) if ended else None)


def follow(events: list[Event], node: NodeId | None) -> State | None:
    """Where the logged moves of the run, or the job, lead; each of them legal. None: no move."""
    state: State | None = None
    for event in events:
        if event.node == node and event.old is not None:
            assert state in {event.old, None}
            assert event.new is not None
            assert event.new in MOVES[event.old]
            state = event.new
    return state


@pytest.mark.spec("G10")
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(script=happenings)
def test_the_log_only_grows_and_tells_every_move(
    database: Database, script: list[tuple[str, str | None, Any]]
) -> None:
    """Whoever has read it up to somewhere needs to read on only, and knows how all stands."""
    history = History(database, 1)
    told: dict[JobId, list[Event]] = {
        job: history.desk.events(job) for job in history.jobs.values()
    }
    stood = {job: history.standing(job) for job in told}

    for what, job, how in script:
        history.happen(what, job, how)
        for name, before in told.items():
            told[name] = history.desk.events(name)
            assert told[name][: len(before)] == before
            for node, state in history.standing(name).items():
                if state is not stood[name].get(node, state):
                    news = [event for event in told[name][len(before) :] if event.node == node]
                    assert [event.new for event in news if event.new][-1:] == [state]
                    assert all(event.actor and event.at for event in news)
            stood[name] = history.standing(name)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(script=happenings)
def test_whoever_waits_is_judged_when_all_has_ended(
    database: Database, script: list[tuple[str, str | None, Any]]
) -> None:
    """Whatever happened: once everything is called off, nothing is left waiting for ever."""
    history = History(database, None)
    for what, job, how in script:
        history.happen(what, job, how)

    for job in history.jobs.values():
        history.desk.control.verbs.cancel(job, force=True, **WHO)
    history.desk.obey()
    history.desk.obey()

    for job in history.jobs.values():
        check_job(history.desk, job)
        assert history.desk.job(job).state.is_terminal
        assert {run.pending for run in history.desk.runs(job)} == {None}
    assert history.desk.hand_over() == []
