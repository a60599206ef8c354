"""Shares: what `make test` leaves to `make faults`."""

import pytest

#: of what is the same on every stack, the other one is left out
ONE_STACK = pytest.mark.parametrize(
    "fleet",
    ["redis-sqlite", pytest.param("rabbit-postgres", marks=pytest.mark.long)],
    indirect=True,
)
