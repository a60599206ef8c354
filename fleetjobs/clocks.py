"""Clocks: the time; in tests of a whole fleet what a file says it is.

Programs that are started with `FJ_CLOCK=FILE` in their environment look into that file whenever
they ask for the time, so that `fj clock advance 3h` moves all of them together. Without the
variable there is no such clock, and nothing to move: a fleet at work cannot be lied to by accident.
"""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from fleetjobs.errors import InvalidSetting

VARIABLE = "FJ_CLOCK"  #: names the file; only in tests
FASTEST = 100_000.0  #: seconds of ours in one of the machine's
LOOK_AGAIN_S = 0.2  #: nobody who goes by a test clock waits longer without looking at it


class Reading(NamedTuple):
    """What a test clock shows: so much more than the machine's clock, at its own pace."""

    set_at: float  # by the machine's clock, seconds since 1970
    shown: float  # what it showed then, likewise
    pace: float = 1.0

    def at(self, real: float) -> datetime:
        """What it shows when the machine's clock shows that."""
        return datetime.fromtimestamp(self.shown + (real - self.set_at) * self.pace, UTC)


def now() -> datetime:
    """The time. Raises InvalidSetting if there is a test clock that cannot be read."""
    place = os.environ.get(VARIABLE)
    return datetime.now(UTC) if place is None else _read(Path(place)).at(time.time())


def patience(seconds: float) -> float:
    """How long to wait for something that may come in so many seconds: less by a test clock."""
    return seconds if VARIABLE not in os.environ else min(seconds, LOOK_AGAIN_S)


def pace() -> float:
    """How many seconds pass in one second of the machine's; 1 outside of tests."""
    place = os.environ.get(VARIABLE)
    return 1.0 if place is None else _read(Path(place)).pace


def set_clock(
    *, moment: datetime | None = None, by: timedelta = timedelta(), pace: float | None = None
) -> datetime:
    """Set the test clock to a moment, forward or back, or to another pace; what it shows then.

    Raises InvalidSetting where there is none.
    """
    place = os.environ.get(VARIABLE)
    if place is None:
        raise InvalidSetting(
            f"there is no test clock; start the fleet, and this, with {VARIABLE}=FILE."
            " The clock of a fleet at work cannot be set."
        )
    real = time.time()
    before = _read(Path(place))
    shown = before.at(real) if moment is None else moment
    wanted = before.pace if pace is None else pace
    if not 0 <= wanted <= FASTEST:
        raise InvalidSetting(f"a pace of {wanted:g}: give 0 to {FASTEST:g}")
    reading = Reading(set_at=real, shown=(shown + by).timestamp(), pace=wanted)
    aside = Path(f"{place}.{os.getpid()}")
    aside.write_text(json.dumps(reading._asdict()), encoding="utf-8")
    aside.rename(place)  # atomic: programs read it all the time
    return reading.at(real)


def _read(place: Path) -> Reading:
    """What is in the file; the machine's own time if it was not written yet."""
    try:
        return Reading(**json.loads(place.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Reading(set_at=0, shown=0)
    except (OSError, ValueError, TypeError) as error:
        raise InvalidSetting(f"{VARIABLE}: {place} is no clock: {error}") from None
