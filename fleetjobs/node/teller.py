"""Teller: pass on what programs at work say of their progress, now and then."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from fleetjobs.contract import Progress
from fleetjobs.messages import RunHeadway
from fleetjobs.node.reading import progress
from fleetjobs.spool.attempts import RunDirectory, RunKey

EVERY_S = 2.0  #: a run is told of no more often
SHARE = 0.02  #: nor before it took so much longer again: an hour is told of some hundred times
TEXT_MOST = 500  #: letters that are passed on; `fj job show --live` shows all

Mark = tuple[int, int]  #: of a file: when it was written, and its size


@dataclass(slots=True)
class _Known:
    """What was told of a run."""

    since: float  # monotonic, as all here
    due: float  # not told of before
    mark: Mark | None = None
    told: Progress | None = None


class Teller:
    """Looks at the progress of runs, and tells what is new. What it tells may be lost."""

    def __init__(
        self,
        tell: Callable[[Sequence[RunHeadway]], None],
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell = tell
        self._ticks = ticks
        self._known: dict[RunKey, _Known] = {}
        self._look_at = -math.inf

    @property
    def look_at(self) -> float:
        """When to `step` again, monotonic, if anything is at work."""
        return self._look_at

    def step(self, runs: Iterable[RunDirectory]) -> None:
        """Tell of these runs, and of none more often than it should be."""
        now = self._ticks()
        if now < self._look_at:
            return
        self._look_at = now + EVERY_S
        known, self._known = self._known, {}
        news = []
        for run in runs:
            mine = known.get(run.key) or _Known(since=now, due=now)
            self._known[run.key] = mine
            told = _news(run, mine) if mine.due <= now else None
            if told is not None:
                mine.due = now + max(EVERY_S, SHARE * (now - mine.since))
                news.append(RunHeadway(job=run.key.job, attempt=run.key.attempt, progress=told))
        if news:
            self._tell(news)


def _news(run: RunDirectory, known: _Known) -> Progress | None:
    """What its program says that was not told yet."""
    try:
        stat = (run.path / "progress").stat()
    except OSError:
        return None
    mark = (stat.st_mtime_ns, stat.st_size)
    if mark == known.mark:
        return None
    known.mark = mark
    found = progress(run)
    if found is None:
        return None
    found = msgspec.structs.replace(found, text=found.text[:TEXT_MOST])
    if found == known.told:
        return None
    known.told = found
    return found
