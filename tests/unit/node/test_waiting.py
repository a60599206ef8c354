from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.names import JobId
from fleetjobs.node.waiting import STALE_MOST, Waiting, WaitingRuns
from fleetjobs.spool.attempts import RunDirectory, RunKey

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def waiting(number: int, due: float | None = None, end: float | None = None) -> Waiting:
    key = RunKey(JobId(f"0190a1b2-0000-7000-8000-{number:012}"), 1)
    return Waiting(
        run=RunDirectory(key, Path(), Path()),
        since=at(number),
        not_before=None if due is None else at(due),
        start_before=None if end is None else at(end),
    )


def test_runs_are_taken_in_the_order_in_which_they_are_due() -> None:
    runs = WaitingRuns()
    for number, due in enumerate((3, 1, 2)):
        runs.add(waiting(number, due))

    taken = [runs.take_due(at(2)), runs.take_due(at(2)), runs.take_due(at(2))]

    assert [each.not_before if each else None for each in taken] == [at(1), at(2), None]
    assert len(runs) == 1
    assert runs.next_due(at(2)) == at(3)


def test_a_run_without_a_time_queues_up_behind_those_that_were_due_before_it_came() -> None:
    runs = WaitingRuns()
    runs.add(waiting(5))
    runs.add(waiting(6, due=4))
    runs.add(waiting(3))

    taken = [runs.take_due(at(9)) for _ in range(3)]

    assert taken == [waiting(3), waiting(6, due=4), waiting(5)]


def test_a_clock_that_is_set_back_holds_up_only_what_asked_for_a_time() -> None:
    runs = WaitingRuns()
    runs.add(waiting(100))
    runs.add(waiting(101, due=50))

    assert runs.next_due(at(0)) == at(0)
    assert runs.take_due(at(0)) == waiting(100)
    assert runs.take_due(at(0)) is None
    assert runs.next_due(at(0)) == at(50)


def test_a_run_past_its_end_is_taken_as_expired_and_never_as_due() -> None:
    runs = WaitingRuns()
    runs.add(waiting(1, end=5))

    assert runs.take_expired(at(5)) is None
    assert runs.next_end() == at(5)
    assert runs.take_expired(at(6)) == waiting(1, end=5)
    assert runs.take_due(at(6)) is None
    assert runs.next_due(at(6)) is None
    assert len(runs) == 0


def test_a_run_that_was_started_does_not_expire() -> None:
    runs = WaitingRuns()
    runs.add(waiting(1, end=5))

    assert runs.take_due(at(1)) is not None
    assert runs.take_expired(at(6)) is None


def test_a_run_that_comes_back_waits_for_its_new_time() -> None:
    runs = WaitingRuns()
    runs.add(waiting(1))
    assert runs.take_due(at(1)) is not None
    runs.add(waiting(1, due=9))

    assert runs.take_due(at(1)) is None
    assert runs.take_due(at(9)) == waiting(1, due=9)
    assert runs.take_due(at(9)) is None


times = st.none() | st.integers(0, 20)


@given(st.lists(st.tuples(times, times), max_size=30))
def test_every_run_is_taken_exactly_once(
    all_times: list[tuple[int | None, int | None]],
) -> None:
    runs = WaitingRuns()
    for number, (due, end) in enumerate(all_times):
        runs.add(waiting(number, due, end))

    taken = []
    for second in range(22):
        while (found := runs.take_expired(at(second)) or runs.take_due(at(second))) is not None:
            taken.append(found.run.key)

    assert sorted(taken) == [waiting(number).run.key for number in range(len(all_times))]
    assert len(runs) == 0


def test_what_was_started_is_forgotten_long_before_it_would_have_been_too_late() -> None:
    """One that waits stands before all of a day's, which had a day to start."""
    runs = WaitingRuns()
    runs.add(waiting(1, due=5, end=10))
    for number in range(2, 5000):
        runs.add(waiting(number, end=86400 + number))
        assert runs.take_due(at(4)) is not None

    assert len(runs._by_end) <= STALE_MOST + 3
    assert runs.next_end() == at(10)
    assert runs.next_due(at(4)) == at(5)
