import os
from datetime import UTC, datetime, timedelta
from errno import EMFILE
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.errors import SpoolFull
from fleetjobs.messages import Verb
from fleetjobs.names import JobId
from fleetjobs.spool import fences as module
from fleetjobs.spool.attempts import RunKey
from fleetjobs.spool.fences import Fence, Fences, higher
from fleetjobs.spool.spool import Spool

KEY = RunKey(JobId("0190a1b2-0000-7000-8000-000000000001"), 1)
AT = datetime(2026, 12, 1, 4, 0, tzinfo=UTC)


@pytest.fixture
def fences(tmp_path: Path) -> Fences:
    return Spool(tmp_path).fences


def fence(generation: int, verb: Verb = Verb.WITHDRAW) -> Fence:
    return Fence(generation=generation, verb=verb, at=AT)


def test_a_fence_is_found_by_another_process(fences: Fences, tmp_path: Path) -> None:
    fences.put(KEY, fence(1))

    assert Spool(tmp_path).fences.find(KEY) == fence(1)
    assert Spool(tmp_path).fences.find(RunKey(KEY.job, 2)) is None
    assert list((tmp_path / "incoming").iterdir()) == []


def test_the_highest_generation_counts_whatever_comes_first(fences: Fences) -> None:
    fences.put(KEY, fence(3))

    assert fences.put(KEY, fence(2)) == fence(3)
    assert fences.put(KEY, fence(4)) == fence(4)


def test_a_stop_is_never_taken_back(fences: Fences) -> None:
    fences.put(KEY, fence(1, Verb.STOP))

    raised = fences.put(KEY, fence(2))

    assert (raised.generation, raised.verb) == (2, Verb.STOP)
    assert raised.bars(3)


def test_a_fence_bars_its_generation_and_all_before() -> None:
    assert [fence(2).bars(generation) for generation in (0, 2, 3)] == [True, True, False]


def test_a_fence_that_cannot_be_read_bars_everything(fences: Fences, tmp_path: Path) -> None:
    fences.put(KEY, fence(1))
    (tmp_path / "fences" / str(KEY)).write_bytes(b"\x00")

    found = fences.find(KEY)

    assert found is not None
    assert found.bars(99)


@pytest.mark.spec("F5")
def test_a_fence_that_finds_no_room_is_not_put(
    fences: Fences, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_file", full)

    with pytest.raises(SpoolFull, match="No space left"):
        fences.put(KEY, fence(1))
    assert fences.find(KEY) is None


def test_a_forgotten_fence_is_gone(fences: Fences) -> None:
    fences.put(KEY, fence(1))
    (written,) = fences.written()
    assert written[0] == KEY
    assert datetime.now(UTC) - written[1] < timedelta(minutes=5)

    fences.forget(KEY)
    fences.forget(KEY)

    assert fences.find(KEY) is None


orders = st.builds(fence, st.integers(1, 5), st.sampled_from(Verb))


@given(st.lists(orders, min_size=1))
def test_the_order_in_which_orders_come_does_not_matter(given_orders: list[Fence]) -> None:
    def raised(each: list[Fence]) -> tuple[int, bool]:
        counts = None
        for order in each:
            counts = higher(counts, order)
        assert counts is not None
        return counts.generation, counts.is_stop

    assert raised(given_orders) == raised(given_orders[::-1])


def test_a_fence_that_cannot_be_read_just_now_is_no_stop(
    fences: Fences, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a descriptor nobody knows what was ordered; nothing may end because of that."""
    fences.put(KEY, fence(1))
    monkeypatch.setattr(os, "open", without_descriptors)

    with pytest.raises(SpoolFull, match="Too many open files"):
        fences.find(KEY)


def without_descriptors(path: Path, *_: object) -> int:
    raise OSError(EMFILE, os.strerror(EMFILE), str(path))


def test_a_fence_that_could_not_be_made_to_last_is_written_again(
    fences: Fences, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, but a power cut would take it away: the order that comes again is not over."""
    synced: list[Path] = []

    def refuse(_: Path) -> None:
        raise OSError(EMFILE, os.strerror(EMFILE))

    monkeypatch.setattr(module, "sync_directory", refuse)
    with pytest.raises(SpoolFull):
        fences.put(KEY, fence(1))
    monkeypatch.setattr(module, "sync_directory", synced.append)
    fences.put(KEY, fence(1))
    fences.put(KEY, fence(1))

    assert len(synced) == 1
