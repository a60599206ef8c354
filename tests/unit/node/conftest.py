"""A receiver for each test that asks for one; other modules have benches of their own."""

from pathlib import Path

import pytest

from tests.reception import Bench, make_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path)
