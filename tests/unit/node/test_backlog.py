"""Nothing begins before what lay in the queue has been read."""

import pytest

from fleetjobs.node.backlog import PATIENCE_S, Backlog


class Watch:
    """Seconds, as told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_there_is_none_until_some_is_found() -> None:
    backlog = Backlog()
    assert backlog.wait_s() == 0.0

    backlog.found(0)
    assert backlog.wait_s() == 0.0


def test_it_is_over_with_the_last_message() -> None:
    backlog = Backlog()
    backlog.found(2)

    assert backlog.read() is False
    assert backlog.wait_s() > 0.0
    assert backlog.read() is True
    assert backlog.wait_s() == 0.0
    assert backlog.read() is False


def test_what_somebody_else_took_is_not_waited_for_long() -> None:
    watch = Watch()
    backlog = Backlog(watch)
    backlog.found(1)

    watch.now += PATIENCE_S / 2
    assert backlog.wait_s() == pytest.approx(PATIENCE_S / 2)
    watch.now += PATIENCE_S
    assert backlog.wait_s() == 0.0
