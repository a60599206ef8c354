from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.jobs import JobId
from fleetjobs.node.waiting import Waiting, WaitingRuns
from fleetjobs.spool.attempts import RunDirectory, RunKey

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def waiting(number: int, due: float = 0, end: float | None = None) -> Waiting:
    key = RunKey(JobId(f"0190a1b2-0000-7000-8000-{number:012}"), 1)
    run = RunDirectory(key, Path(), Path())
    start_before = None if end is None else at(end)
    return Waiting(run=run, due_at=at(due), start_before=start_before)


def test_runs_are_taken_in_the_order_in_which_they_are_due() -> None:
    runs = WaitingRuns()
    for number, due in enumerate((3, 1, 2)):
        runs.add(waiting(number, due))

    taken = [runs.take_due(at(2)), runs.take_due(at(2)), runs.take_due(at(2))]

    assert [each.due_at if each else None for each in taken] == [at(1), at(2), None]
    assert len(runs) == 1
    assert runs.next_due() == at(3)


def test_a_run_past_its_end_is_taken_as_expired_and_never_as_due() -> None:
    runs = WaitingRuns()
    runs.add(waiting(1, due=0, end=5))

    assert runs.take_expired(at(5)) is None
    assert runs.next_end() == at(5)
    assert runs.take_expired(at(6)) == waiting(1, due=0, end=5)
    assert runs.take_due(at(6)) is None
    assert runs.next_due() is None
    assert len(runs) == 0


def test_a_run_that_was_started_does_not_expire() -> None:
    runs = WaitingRuns()
    runs.add(waiting(1, due=0, end=5))

    assert runs.take_due(at(1)) is not None
    assert runs.take_expired(at(6)) is None


def test_a_run_that_is_added_again_has_its_later_time() -> None:
    runs = WaitingRuns()
    runs.add(waiting(1, due=0))
    runs.add(waiting(1, due=9))

    assert runs.take_due(at(1)) is None
    assert runs.take_due(at(9)) == waiting(1, due=9)
    assert runs.take_due(at(9)) is None


@given(st.lists(st.tuples(st.integers(0, 20), st.none() | st.integers(0, 20)), max_size=30))
def test_every_run_is_taken_exactly_once(times: list[tuple[int, int | None]]) -> None:
    runs = WaitingRuns()
    for number, (due, end) in enumerate(times):
        runs.add(waiting(number, due, end))

    taken = []
    for second in range(22):
        while (found := runs.take_expired(at(second)) or runs.take_due(at(second))) is not None:
            taken.append(found.run.key)

    assert sorted(taken) == [waiting(number).run.key for number in range(len(times))]
    assert len(runs) == 0
