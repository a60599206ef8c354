"""Percent complete: weighted, monotone, and 100 for success alone."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetjobs.plans.progress import Part, done, gathered, percent
from fleetjobs.states import LIVE, TERMINAL, State, Tally

R = State.RUNNING


def parts(*shares: float) -> list[Part]:
    """Parts of one weight."""
    return [Part(weight=1, done=share) for share in shares]


def test_one_of_four_equal_legs_is_a_quarter() -> None:
    assert percent(parts(1, 0, 0, 0), R) == 25.0


def test_weights_count() -> None:
    assert percent([Part(weight=3, done=1), Part(weight=1, done=0)], R) == 75.0


def test_there_is_no_percentage_before_there_are_legs() -> None:
    assert percent([], State.SCHEDULED) is None


def test_a_leg_is_done_by_the_share_of_its_runs() -> None:
    tally: Tally = Counter({State.SUCCEEDED: 5, State.FAILED: 4, State.RUNNING: 11})

    assert done(R, tally) == 0.25
    assert done(State.SUCCEEDED, tally) == 1.0
    assert done(State.SKIPPED, Counter()) == 1.0
    assert done(State.FAILED, Counter({State.FAILED: 1})) == 0.0
    assert done(State.WAITING, Counter()) == 0.0


def test_a_group_weighs_what_its_legs_weigh() -> None:
    inner = [Part(weight=2, done=1), Part(weight=1, done=0)]
    outer = [gathered(inner), Part(weight=1, done=1)]

    assert percent(outer, R) == percent([*inner, outer[1]], R) == 75.0


def test_only_success_is_all() -> None:
    assert percent(parts(1, 1), R) == 99.9
    assert percent(parts(1, 1), State.FAILED) == 99.9
    assert percent(parts(1, 0), State.SUCCEEDED) == 100.0
    assert percent([Part(weight=1e6, done=1), Part(weight=1e-6, done=0)], R) == 99.9


@pytest.mark.parametrize("state", [State.REVERTING, State.FAILED, State.CANCELLED])
def test_it_is_frozen_while_rolled_back_and_after_the_end(state: State) -> None:
    assert percent(parts(1, 1, 0), state, before=33.3) == 33.3


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.001, 1e6), st.lists(st.floats(0, 1), min_size=6, max_size=6)),
        min_size=1,
        max_size=8,
    ),
    st.lists(st.sampled_from(sorted(LIVE)), min_size=5, max_size=5),
    st.sampled_from(sorted(TERMINAL)),
)
def test_it_never_falls_and_ends_at_all_for_success_alone(
    legs: list[tuple[float, list[float]]], live: list[State], end: State
) -> None:
    """Whatever single legs do: also when one is tried again, or more legs come."""
    last: float | None = None
    for step, state in enumerate([*live, end]):
        now = [Part(weight=weight, done=shares[step]) for weight, shares in legs[: step + 1]]
        seen = percent(now, state, last)
        assert seen is not None
        assert last is None or seen >= last
        assert 0.0 <= seen <= 100.0
        assert (seen == 100.0) == (state is State.SUCCEEDED)
        last = seen
