"""Shares: what `make test` leaves to `make faults`."""

import pytest

#: of what takes long and says the same on both databases, the other one is left out
ONE_DATABASE = pytest.mark.parametrize(
    "database_url",
    ["sqlite", pytest.param("postgres", marks=pytest.mark.long)],
    indirect=True,
)
