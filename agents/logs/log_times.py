"""Times: when the lines of a log were written, and which of them lie within a time range.

Lines of a log stand in the order of their times, give or take SLACK. So blocks that lie far
enough within the range, or outside it, are decided whole; only those near its edges are read
line by line. A line without a time of its own, such as one of a stack trace, goes with the line
before it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

SLACK = 300.0  #: seconds by which neighbouring lines of a log may be out of order
DAY = 86_400.0  #: seconds
GLANCE = 50  #: lines looked at, from either end of a block, to find one with a time
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
MONTHS = {
    name: number
    for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)
}
_ISO = (
    rb"(?P<year>\d{4})[-/](?P<month>\d\d)[-/](?P<day>\d\d)(?:T| {1,2})(?P<clock>\d\d:\d\d:\d\d)"
    rb"(?P<fraction>[.,]\d{1,9})?(?: ?(?P<zone>Z\b|UTC\b|[+-]\d\d:?\d\d))?"
)
#: what stands at the start of a line: ISO 8601 and its relatives, apt, syslog, Apache's error log
_START = tuple(
    re.compile(pattern)
    for pattern in (
        rb"[\[(<]?" + _ISO,
        rb"(?:Start-Date|End-Date|Log started|Log ended): " + _ISO,
        rb"(?:<\d+>)?(?P<name>[A-Z][a-z]{2}) {1,2}(?P<day>\d{1,2}) (?P<clock>\d\d:\d\d:\d\d)",
        (
            rb"\[?[A-Z][a-z]{2} (?P<name>[A-Z][a-z]{2}) {1,2}(?P<day>\d{1,2}) "
            rb"(?P<clock>\d\d:\d\d:\d\d)(?P<fraction>\.\d{1,9})? (?P<year>\d{4})"
        ),
    )
)
_ACCESS = re.compile(  # web servers' access logs, after address and user
    rb"\[(?P<day>\d\d)/(?P<name>[A-Z][a-z]{2})/(?P<year>\d{4}):(?P<clock>\d\d:\d\d:\d\d)"
    rb" (?P<zone>[+-]\d{4})\]"
)
_ANYWHERE = re.compile(_ISO)


def read_moment(text: str, now: datetime) -> float:
    """A point in time, or how long ago, in seconds since 1970. Raises ValueError."""
    if text[-1] in UNITS:
        return (now - timedelta(**{UNITS[text[-1]]: int(text[:-1])})).timestamp()
    return datetime.fromisoformat(text).timestamp()  # naive: the node's own zone


@dataclass(frozen=True, slots=True)
class Window:
    """A time range, seconds since 1970: not before `since`, before `until`."""

    since: float
    until: float

    def holds(self, at: float) -> bool:
        """Whether the moment lies within."""
        return self.since <= at < self.until

    def decides(self, first: float, last: float) -> bool | None:
        """Whether a block from `first` to `last` lies within; None if that takes a closer look."""
        early, late = min(first, last), max(first, last)
        if early >= self.since + SLACK and late < self.until - SLACK:
            return True
        if late < self.since - SLACK or early >= self.until + SLACK:
            return False
        return None


@dataclass(slots=True)
class Sieve:
    """Lets the part of one file through that lies within a window."""

    window: Window
    changed: float  # when the file was last changed; gives times without a year theirs
    inside: bool = False  # whether the last line with a time was
    dated: bool = False  # whether any line had a time

    def sift(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """What lies within, of blocks of whole lines."""
        for block in blocks:
            kept = self._part(block)
            if kept:
                yield kept

    def _part(self, block: bytes) -> bytes:
        first, last = first_time(block, self.changed), last_time(block, self.changed)
        if first is None or last is None:
            return self._by_line(block)
        # the first lines may have no time and go with the block before; only if both agree
        # is there nothing to look at
        decision = self.window.decides(first, last)
        if decision is None or (decision is not self.inside and not _starts_dated(block)):
            return self._by_line(block)
        self.inside, self.dated = decision, True
        return block if decision else b""

    def _by_line(self, block: bytes) -> bytes:
        kept = []
        for line in block.splitlines(keepends=True):
            at = time_of(line, self.changed)
            if at is not None:
                self.inside, self.dated = self.window.holds(at), True
            if self.inside:
                kept.append(line)
        return b"".join(kept)


def find_start(read: Callable[[int], bytes], size: int, since: float, changed: float) -> int:
    """An offset, found by halving, before which a file has only lines from before `since`.

    `read(offset)` gives some bytes from there.
    """
    low, high = 0, size
    while high - low > 4 * 1024 * 1024:
        middle = (low + high) // 2
        _, _, lines = read(middle).partition(b"\n")
        at = first_time(lines, changed)
        if at is None:
            return low
        if at < since - SLACK:
            low = middle
        else:
            high = middle
    return low


def first_time(block: bytes, changed: float) -> float | None:
    """The time of the first line near the block's start that has one."""
    start = 0
    for _ in range(GLANCE):
        end = block.find(b"\n", start)
        at = time_of(block[start : min(end if end >= 0 else len(block), start + 300)], changed)
        if at is not None or end < 0:
            return at
        start = end + 1
    return None


def last_time(block: bytes, changed: float) -> float | None:
    """The time of the last line near the block's end that has one."""
    end = len(block)
    for _ in range(GLANCE):
        start = block.rfind(b"\n", 0, max(end - 1, 0)) + 1
        at = time_of(block[start : start + 300], changed)
        if at is not None or start == 0:
            return at
        end = start
    return None


def time_of(line: bytes, changed: float) -> float | None:
    """When a line was written, in seconds since 1970; None if it does not say."""
    for pattern in _START:
        match = pattern.match(line)
        if match:
            return _moment(match, changed)
    match = _ACCESS.search(line, 0, 300)
    if match is None and line.startswith(b"{"):
        match = _ANYWHERE.search(line, 0, 300)
    return _moment(match, changed) if match else None


def _starts_dated(block: bytes) -> bool:
    return time_of(block[:300], 0.0) is not None


def _moment(match: re.Match[bytes], changed: float) -> float | None:
    parts = match.groupdict()
    month = MONTHS.get(parts["name"]) if parts.get("name") else int(parts["month"])
    if month is None:
        return None
    fraction = float(b"0." + parts["fraction"][1:]) if parts.get("fraction") else 0.0
    year = int(parts["year"]) if parts.get("year") else None
    try:
        whole = _whole(year, month, int(parts["day"]), parts["clock"], parts.get("zone"), changed)
    except (ValueError, OverflowError):  # a 31st of February, or a 25th hour
        return None
    return whole + fraction


@lru_cache(maxsize=65_536)  # most lines share their second with others
def _whole(
    year: int | None, month: int, day: int, clock: bytes, zone: bytes | None, changed: float
) -> float:
    hour, minute, second = (int(part) for part in clock.split(b":"))
    second = min(second, 59)  # leap seconds
    if year is None:
        return _latest(changed, month, day, hour, minute, second)
    text = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    return datetime.fromisoformat(text + _zone(zone)).timestamp()


def _latest(changed: float, *parts: int) -> float:
    """The time in the year in which it is not younger than the file: syslog names no year."""
    year = datetime.fromtimestamp(changed).year  # noqa: DTZ006  local, as the lines are
    for candidate in (year, year - 1):
        try:
            at = datetime(candidate, *parts).timestamp()  # type: ignore[arg-type]  # noqa: DTZ001
        except ValueError:  # the 29th of February in a year that has none
            continue
        if at <= changed + DAY:
            return at
    raise ValueError(parts)


def _zone(zone: bytes | None) -> str:
    if zone is None:
        return ""  # the node's own
    return "Z" if zone in (b"Z", b"UTC") else zone.decode()
