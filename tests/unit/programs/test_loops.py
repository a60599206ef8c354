"""A loop repeats its step, survives its failures, and ends when told to."""

import threading

from fleetjobs.errors import BrokerAway
from fleetjobs.programs.loops import Loops


def test_a_failing_step_is_tried_again() -> None:
    """Neither a known outage nor a defect in one pass may end a service."""
    failures: list[Exception] = [BrokerAway("gone"), ValueError("defect")]
    done = threading.Event()

    def step() -> None:
        if failures:
            raise failures.pop()
        done.set()

    loops = Loops()
    loops.start("test", step, every=0.001)

    assert done.wait(60)
    loops.stop()


def test_stop_ends_every_loop() -> None:
    loops = Loops()
    ran = threading.Event()
    loops.start("one", ran.set, every=0.001)
    loops.start("two", lambda: None, every=0.001)
    assert ran.wait(60)

    loops.stop()

    assert not [thread for thread in threading.enumerate() if thread.name in {"one", "two"}]
