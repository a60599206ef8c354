"""Whatever happens to runs, in whatever order: every move is legal, and tallies tell the truth."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetjobs.jobs import Event, Job
from fleetjobs.messages import Stage
from fleetjobs.names import NodeId
from fleetjobs.states import MOVES, State, completion
from fleetjobs.store.database import Database
from fleetjobs.store.deadlines import end_overdue, runs_overdue
from fleetjobs.store.events import list_events
from fleetjobs.store.handovers import mark_queued, runs_to_dispatch
from fleetjobs.store.jobs import get_job
from fleetjobs.store.replies import apply_replies
from fleetjobs.store.runs import list_runs
from tests.makers import NOW, add_org, keep_job, make_reply

NODES = ("a", "b", "c")
LATE = NOW + timedelta(days=2)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """One for all examples: each makes a job of its own."""
    path: Path = tmp_path_factory.mktemp("standing") / "fleetjobs.sqlite"
    opened = Database.open(f"sqlite:///{path}")
    opened.migrate()
    add_org(opened)
    return opened


a_reply = st.fixed_dictionaries(
    {"node": st.sampled_from(NODES), "stage": st.sampled_from(Stage)},
    optional={
        "state": st.sampled_from([None, *State]),
        "started_at": st.sampled_from([None, NOW]),
        "attempt": st.sampled_from([1, 2]),
    },
)
happenings = st.lists(
    st.one_of(
        st.tuples(st.just("replies"), st.lists(a_reply, max_size=5)),
        st.tuples(st.just("hand over"), st.integers(1, 3)),
        st.tuples(st.just("expire"), st.sampled_from([NOW, LATE])),
    ),
    max_size=8,
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    size=st.integers(1, 3),
    begin=st.sampled_from([State.WAITING, State.SCHEDULED]),
    script=happenings,
)
def test_every_history_is_legal(
    database: Database, size: int, begin: State, script: list[tuple[str, object]]
) -> None:
    job = keep_job(database, *NODES[:size], state=begin)

    for what, how in script:
        happen(database, job, what, how)

    with database.reading() as connection:
        found = get_job(connection, job.id, org=None)
        runs = list_runs(connection, job.id, limit=10).items
        events = list_events(connection, org=None, job=job.id, limit=1000)
    assert found is not None
    assert found.tally == Counter(run.state for run in runs)
    assert follow(events, None, begin) == found.state
    for run in runs:
        assert follow(events, run.node, begin) == run.state
    ended = all(run.state.is_terminal for run in runs)
    assert found.state.is_terminal == ended
    assert (found.ended_at is not None) == ended
    assert found.completion == (completion(found.tally) if ended else None)


def happen(database: Database, job: Job, what: str, how: object) -> None:
    """Let it happen, as the coordinator would."""
    with database.transaction() as connection:
        if what == "hand over":
            assert isinstance(how, int)
            due = runs_to_dispatch(connection, LATE, 1000)
            ours = [item for item in due if item.job == job.id]
            mark_queued(connection, ours[:how], NOW, timedelta(minutes=1))
        elif what == "expire":
            overdue = runs_overdue(connection, LATE, 1000)
            end_overdue(
                connection, [name for name in overdue if name[0] == job.id], LATE, since=None
            )
        else:
            assert isinstance(how, list)
            apply_replies(connection, [make_reply(job.id, **reply) for reply in how], NOW)


def follow(events: list[Event], node: NodeId | None, state: State) -> State:
    """Where the logged moves of the run, or the job, lead; each of them legal."""
    for event in events:
        if event.node == node and event.old is not None:
            assert event.old == state
            assert event.new is not None
            assert event.new in MOVES[state]
            state = event.new
    return state
