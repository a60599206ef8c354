"""Logins: how often one may guess."""

from datetime import UTC, datetime

import pytest

from fleetjobs.api import logins
from fleetjobs.api.logins import GUESSES, WITHIN, Logins
from fleetjobs.errors import TooOften

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def test_invented_names_make_no_account_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "LIMIT", 10)
    kept = Logins()
    counts = [kept.fail("ann", NOW, exists=True) for _ in range(GUESSES)]

    for number in range(100):
        kept.fail(f"x{number}", NOW, exists=False)

    assert counts == [1, 2, 3, 4, 5]
    with pytest.raises(TooOften):
        kept.check("ann", NOW)
    kept.check("ann", NOW + WITHIN)


def test_a_name_that_becomes_an_account_has_its_guesses_counted_on() -> None:
    kept = Logins()
    for exists in (False, False, True, True, True):
        kept.fail("ann", NOW, exists=exists)

    with pytest.raises(TooOften):
        kept.check("ann", NOW)

    kept.forget("ann")
    kept.check("ann", NOW)
