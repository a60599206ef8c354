"""Tokens, remembered for a moment."""

from datetime import datetime, timedelta

import pytest

from fleetjobs.api.tokens import KEEP, Tokens
from fleetjobs.errors import Unauthenticated
from fleetjobs.store.tokens import revoke_tokens
from tests.api_house import House


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """The time."""
        return self.now


def test_a_revoked_token_works_a_moment_longer_and_no_more(house: House) -> None:
    """That is what not asking the database each time costs."""
    clock = Clock(house.now)
    tokens = Tokens(house.database, clock)
    token = house.tokens["ann"]
    assert tokens.account(token).name == "ann"
    with house.database.transaction() as connection:
        revoke_tokens(connection, "ann", name="test", now=house.now)

    clock.now += KEEP - timedelta(milliseconds=1)
    assert tokens.account(token).name == "ann"
    clock.now += timedelta(milliseconds=1)
    with pytest.raises(Unauthenticated):
        tokens.account(token)


def test_an_unknown_token_is_not_remembered(house: House) -> None:
    """Nobody fills the memory with guesses."""
    tokens = Tokens(house.database, Clock(house.now))

    for guess in ("fjt_1", "fjt_2"):
        with pytest.raises(Unauthenticated):
            tokens.account(guess)
        assert tokens.recall(guess) is None
