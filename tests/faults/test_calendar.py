"""A calendar at a thousand times the speed, while two coordinators are killed in turn."""

import pytest

from tests.faults.calendar import main


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.spec("I6", "F7", "F11")
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_two_coordinators_that_are_killed_in_turn_account_for_each_occurrence_once(
    database: str,
) -> None:
    """The whole of it takes ten minutes: `python -m tests.faults.calendar`."""
    assert main(["--minutes", "1", "--schedules", "60", "--database", database]) == 0
