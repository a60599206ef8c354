"""A fixed share of the thousand jobs; `make thousand` has all of them."""

from pathlib import Path

import pytest

from tests.conftest import refuse_or_skip
from tests.faults.fleet import raise_fleet
from tests.faults.thousand import endure
from tests.processes import ServerMissing

JOBS, NODES = 60, 5


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.spec("G1", "G2", "G3", "G4", "F1", "F2", "F6", "F8", "F13", "I1", "I2", "I3", "I12")
@pytest.mark.parametrize(("stack", "seed"), [("redis-sqlite", 1)])
def test_each_of_many_jobs_has_one_outcome_whoever_is_killed_meanwhile(
    tmp_path: Path, stack: str, seed: int
) -> None:
    try:
        with raise_fleet(tmp_path, stack, NODES) as fleet:
            account = endure(fleet, seed, jobs=JOBS, seconds=18, every_s=0.6)
    except ServerMissing as missing:
        refuse_or_skip(str(missing))

    assert account.violations == [], account.tell()
    assert account.outcomes.total() == account.jobs == JOBS
    assert max(account.starts.values()) <= JOBS
    assert account.doubles == 0
