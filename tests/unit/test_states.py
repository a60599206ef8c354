"""States: the table of moves, and what runs say of their job."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fleetjobs.errors import InvalidTransition
from fleetjobs.states import (
    LIVE,
    MOVES,
    TERMINAL,
    Completion,
    State,
    Tally,
    Terms,
    check_move,
    completion,
    derive,
)

BEGINNINGS = (State.SCHEDULED, State.WAITING)

states = st.sampled_from(State)
tallies = st.dictionaries(states, st.integers(1, 5), min_size=1).map(Tally)


def reachable(start: State) -> set[State]:
    found, open_ends = {start}, [start]
    while open_ends:
        new = set(MOVES[open_ends.pop()]) - found
        found |= new
        open_ends += new
    return found


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_reached(state: State) -> None:
    assert any(state in reachable(start) for start in BEGINNINGS)


@pytest.mark.parametrize("state", sorted(LIVE))
def test_every_live_state_can_end_and_can_be_cancelled(state: State) -> None:
    ends = reachable(state)

    assert ends & TERMINAL
    assert State.CANCELLED in ends


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_an_ended_state_absorbs(state: State) -> None:
    assert not MOVES[state]
    assert state.is_terminal


def test_running_is_entered_from_queued_only() -> None:
    assert [state for state in State if State.RUNNING in MOVES[state]] == [State.QUEUED]


@given(states, states)
def test_a_move_passes_exactly_if_the_table_has_it(old: State, new: State) -> None:
    if new in MOVES[old]:
        check_move(old, new)
    else:
        with pytest.raises(InvalidTransition, match=f"{old} cannot become {new}"):
            check_move(old, new)


class Walk(RuleBasedStateMachine):
    """A run that is asked to make moves at random, legal or not."""

    def __init__(self) -> None:
        super().__init__()
        self.path = [State.WAITING]

    @rule(new=states)
    def ask(self, new: State) -> None:
        """Make the move if the table lets it pass."""
        try:
            check_move(self.path[-1], new)
        except InvalidTransition:
            return
        self.path.append(new)

    @invariant()
    def nothing_follows_an_end(self) -> None:
        """Terminal states absorb."""
        assert not any(state.is_terminal for state in self.path[:-1])

    @invariant()
    def nothing_runs_that_was_not_handed_over(self) -> None:
        """No way into `running` but from `queued`."""
        for before, after in zip(self.path, self.path[1:], strict=False):
            assert after is not State.RUNNING or before is State.QUEUED


TestWalk = Walk.TestCase


@given(tallies)
def test_a_job_is_live_exactly_as_long_as_one_of_its_runs(tally: Tally) -> None:
    assert derive(tally).is_terminal == all(state.is_terminal for state in tally)


@given(tallies)
def test_a_live_job_stands_as_one_of_its_runs_does(tally: Tally) -> None:
    state = derive(tally)

    assert state.is_terminal or tally[state]


@given(tallies)
def test_enough_tolerance_lets_any_ended_job_pass(tally: Tally) -> None:
    ended = Tally({state: count for state, count in tally.items() if state.is_terminal})

    state = derive(ended, Terms(tolerated=ended.total()))

    if state is State.FAILED:
        assert ended[State.SKIPPED]
        assert not ended[State.SUCCEEDED]
    else:
        assert state in (State.SUCCEEDED, State.SKIPPED)


@pytest.mark.parametrize(
    ("tally", "state"),
    [
        ({State.SUCCEEDED: 3}, State.SUCCEEDED),
        ({State.SUCCEEDED: 2, State.FAILED: 1}, State.FAILED),
        ({State.SUCCEEDED: 2, State.SKIPPED: 1}, State.SUCCEEDED),
        ({State.SKIPPED: 2}, State.SKIPPED),
        ({State.EXPIRED: 2}, State.EXPIRED),
        ({State.EXPIRED: 1, State.SUCCEEDED: 1}, State.FAILED),
        ({State.CANCELLED: 1, State.SUCCEEDED: 1}, State.CANCELLED),
        ({State.RUNNING: 1, State.WAITING: 5, State.FAILED: 9}, State.RUNNING),
        ({State.PAUSED: 1, State.SUCCEEDED: 5}, State.PAUSED),
        ({State.CANCELLING: 1, State.RUNNING: 5}, State.CANCELLING),
    ],
)
def test_the_runs_name_the_job(tally: dict[State, int], state: State) -> None:
    assert derive(Tally(tally)) is state


@given(tallies)
def test_a_job_is_done_as_far_as_its_runs_succeeded(tally: Tally) -> None:
    share = tally[State.SUCCEEDED] / tally.total()

    expected = {0.0: Completion.NONE, 1.0: Completion.FULL}.get(share, Completion.PARTIAL)
    assert completion(tally) is expected
