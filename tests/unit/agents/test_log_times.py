"""The logs agent finds what lies within a time range, however its times are written."""

import gzip
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.agent_programs import Called
from tests.made_up_logs import stamped, texts

Search = Callable[..., Called]


@pytest.mark.parametrize("pack", [open, gzip.open])
def test_a_time_range_finds_the_very_lines(
    pack: Callable[..., Any], logs: Path, search: Search
) -> None:
    """Over many blocks, so that some are left out whole, some taken whole, and some looked into."""
    lines = list(stamped(200_000))
    with pack(logs / "a", "wt") as file:
        file.writelines(lines)
    since, until = lines[60_000].split()[0], lines[150_000].split()[0]

    found = search("a", since=since, until=until, limit=1)

    assert found.data["count"] == 90_000
    assert texts(found) == [lines[149_999].rstrip("\n")]


def test_a_long_plain_file_is_not_read_from_its_start(logs: Path, search: Search) -> None:
    lines = list(stamped(300_000))
    (logs / "a").write_text("".join(lines))

    found = search("a", since=lines[290_000].split()[0])

    assert found.data["count"] == 10_000
    assert found.data["bytes"] < (logs / "a").stat().st_size / 2


def test_lines_without_a_time_go_with_the_line_before_them(logs: Path, search: Search) -> None:
    head = list(stamped(2, every=timedelta(hours=1)))
    (logs / "a").write_text(f"no time yet\n{head[0]}  trace of 0\n{head[1]}  trace of 1\n")

    found = search("a", since=head[1].split()[0])

    assert texts(found) == [head[1].rstrip("\n"), "  trace of 1"]


@pytest.mark.parametrize(
    "stamp",
    [
        "2026-11-20T04:00:00+00:00 x",
        "2026-11-20T05:00:00.5+01:00 x",
        "2026-11-20 04:00:00,123 x",
        "[2026-11-20 04:00:00] x",
        "2026/11/20 04:00:00 [error] 7#7: x",
        "2026-11-20 04:00:00.123 UTC [77] LOG: x",
        "Nov 20 04:00:00 web1 x",
        "<13>Nov 20 04:00:00 web1 x",
        "[Fri Nov 20 04:00:00.123456 2026] [core:error] x",
        '10.0.0.1 - ada [20/Nov/2026:05:00:00 +0100] "GET / HTTP/1.1" 200 1 x',
        '{"level": "info", "time": "2026-11-20T04:00:00Z", "x": 1}',
        "Start-Date: 2026-11-20  04:00:00",
    ],
)
def test_times_are_read_as_they_are_written_in_the_wild(
    stamp: str, logs: Path, search: Search
) -> None:
    (logs / "a").write_text(f"{stamp}\n")
    changed = datetime(2026, 11, 21, tzinfo=UTC).timestamp()
    os.utime(logs / "a", (changed, changed))

    inside = search("a", since="2026-11-20T03:59:00Z", until="2026-11-20T04:01:00Z")
    outside = search("a", since="2026-11-20T04:01:00Z")

    assert inside.data["count"] == 1
    assert outside.data["count"] == 0
    assert outside.data["skipped"] == []


def test_a_line_of_december_in_a_file_of_january_is_of_last_year(
    logs: Path, search: Search
) -> None:
    """Syslog writes no year."""
    (logs / "a").write_text("Dec 31 23:00:00 web1 old\nJan  1 01:00:00 web1 new\n")
    changed = datetime(2027, 1, 1, 2, tzinfo=UTC).timestamp()
    os.utime(logs / "a", (changed, changed))

    assert texts(search("a", until="2027-01-01T00:00:00Z")) == ["Dec 31 23:00:00 web1 old"]
    assert texts(search("a", since="2027-01-01T00:00:00Z")) == ["Jan  1 01:00:00 web1 new"]


def test_how_long_ago_is_understood(logs: Path, search: Search) -> None:
    now = datetime.now(UTC)
    stamps = [(now - timedelta(minutes=ago)).isoformat() for ago in (90, 30)]
    (logs / "a").write_text("".join(f"{stamp} x\n" for stamp in stamps))

    assert texts(search("a", since="1h")) == [f"{stamps[1]} x"]
    assert texts(search("a", until="1h")) == [f"{stamps[0]} x"]
