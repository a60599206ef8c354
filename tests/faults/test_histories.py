"""A fixed share of random histories; `make soak` goes on for as long as is wanted."""

import pytest

from tests.faults.fleet import Fleet
from tests.faults.soak import live, tell

STEPS = 40


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.spec("G3", "G10", "I1", "I2", "I3", "I4", "I5", "I7", "I9", "I10", "I11", "I12")
@pytest.mark.parametrize(
    ("fleet", "seed"),
    [
        ("redis-sqlite", 1),
        ("rabbit-postgres", 2),
        pytest.param("redis-sqlite", 3, marks=pytest.mark.long),
        pytest.param("rabbit-postgres", 3, marks=pytest.mark.long),
    ],
    indirect=["fleet"],
)
def test_after_any_history_every_invariant_holds(fleet: Fleet, seed: int) -> None:
    history, violations = live(fleet, seed, STEPS)

    assert not violations, tell(history, violations)
