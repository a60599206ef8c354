"""The logs agent reads big, packed, broken and vanishing files, in bounded memory."""

import bz2
import gzip
import lzma
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.agent_programs import PATH, ROOT, Called, call, command_of, prepare, take_reply
from tests.made_up_logs import stamped, texts

AGENT = ROOT / "agents" / "logs"
MEBIBYTE = 1024 * 1024
Search = Callable[..., Called]


@pytest.mark.spec("S0-14")
@pytest.mark.slow
def test_a_search_of_some_hundred_megabytes_stays_small(logs: Path, tmp_path: Path) -> None:
    """Big, packed, binary and endless lines: all are found, and none is held in memory."""
    block = "".join(stamped(12_000)).encode()
    with (logs / "app.log").open("wb") as file:
        for _ in range(100 * MEBIBYTE // len(block)):
            file.write(block)
        file.write(b"2020-11-21T00:00:00Z needle in the big file\n")
    with gzip.open(logs / "app.log.1.gz", "wb", compresslevel=1) as packed:
        for _ in range(40 * MEBIBYTE // len(block)):
            packed.write(block)
        packed.write(b"2020-11-21T00:00:00Z needle in the packed file\n")
    with (logs / "junk").open("wb") as file:
        for _ in range(20):
            file.write(os.urandom(MEBIBYTE))
        file.write(b"\nneedle in the junk\n")
    (logs / "endless").write_bytes(b"x" * 60 * MEBIBYTE + b"\nneedle after the endless line\n")
    total = sum(path.stat().st_size for path in logs.iterdir())
    environment = prepare(
        AGENT,
        tmp_path / "work",
        "search",
        {"files": [f"{logs}/*"], "pattern": "needle (in|after) the"},
        env={"FLEETJOBS_LOGS_CONFIG": str(tmp_path / "roots.json")},
    )

    subprocess.run(
        ["prlimit", f"--data={64 * MEBIBYTE}", *command_of(AGENT)], env=environment, check=True
    )

    reply = take_reply(tmp_path / "work")
    assert reply is not None
    assert sorted(line["text"].partition("needle ")[2] for line in reply["data"]["lines"]) == [
        "after the endless line",
        "in the big file",
        "in the junk",
        "in the packed file",
    ]
    assert reply["data"]["skipped"] == []
    assert reply["data"]["bytes"] > total


@pytest.mark.spec("S0-14")
@pytest.mark.long
@pytest.mark.timeout(300)
def test_two_gigabytes_are_searched_in_the_memory_of_a_few_megabytes(
    logs: Path, tmp_path: Path
) -> None:
    """The agent and its engine together, as the kernel counts them."""
    block = "".join(stamped(12_000)).encode()
    for number in range(8):
        with (logs / f"app.log.{number}").open("wb") as file:
            for _ in range(256 * MEBIBYTE // len(block) + 1):
                file.write(block)
            file.write(b"2020-11-21T00:00:00Z needle\n")
    environment = prepare(
        AGENT,
        tmp_path / "work",
        "search",
        {"files": [f"{logs}/*"], "pattern": "needle"},
        env={"FLEETJOBS_LOGS_CONFIG": str(tmp_path / "roots.json")},
    )

    most = 0
    with subprocess.Popen(command_of(AGENT), env=environment) as process:
        while process.poll() is None:
            most = max(most, sum(pss(pid) for pid in [process.pid, *children(process.pid)]))
            time.sleep(0.05)

    reply = take_reply(tmp_path / "work")
    assert reply is not None
    assert reply["data"]["count"] == 8
    assert reply["data"]["bytes"] > 2048 * MEBIBYTE
    assert 0 < most < 64 * MEBIBYTE


def children(pid: int) -> list[int]:
    """The processes that it has started and that are there."""
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def pss(pid: int) -> int:
    """Bytes of memory that it has for itself, and its share of what it shares; proc(5)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it has just ended
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


@pytest.mark.parametrize("pack", [gzip.open, bz2.open, lzma.open])
def test_packed_files_are_known_by_their_content(
    pack: Callable[..., Any], logs: Path, search: Search
) -> None:
    with pack(logs / "odd-name", "wt") as file:
        file.writelines(stamped(50))

    found = search("odd-name", pattern="request 4[0-9] ")

    assert found.data["count"] == 10


def test_files_that_cannot_be_read_are_named_and_stop_no_other(logs: Path, search: Search) -> None:
    (logs / "good").write_text("needle\n")
    whole = gzip.compress(b"needle\n" * 50_000 + os.urandom(200_000))
    (logs / "cut.gz").write_bytes(whole[: len(whole) // 2])
    (logs / "packed.zst").write_bytes(b"\x28\xb5\x2f\xfd rest")
    os.mkfifo(logs / "pipe")  # opening it would wait for a writer
    (logs / "gone").symlink_to(logs / "nowhere")
    (logs / "out").symlink_to("/etc/passwd")
    (logs / "directory").mkdir()

    found = search("*", pattern="needle|root")

    assert found.data["count"] > 1
    assert {line["file"] for line in found.data["lines"]} <= {
        str(logs / "good"),
        str(logs / "cut.gz"),
    }
    assert sorted(Path(skip["file"]).name for skip in found.data["skipped"]) == [
        "cut.gz",
        "out",
        "packed.zst",
    ]


def test_a_file_that_vanishes_meanwhile_is_named(
    logs: Path, search: Search, tmp_path: Path
) -> None:
    """While the first file is searched, the second, which is known already, is taken away."""
    for name, changed in (("first", 1_000), ("second", 2_000)):
        (logs / name).write_text("needle\n")
        os.utime(logs / name, (changed, changed))
    engine = tmp_path / "bin" / "rg"
    engine.parent.mkdir()
    engine.write_text(
        "#!/bin/sh\n"
        "lines=$(grep needle)\n"
        f'if [ "$lines" ]; then rm -f {logs}/second; echo "$lines"; fi\n'
    )
    engine.chmod(0o755)

    found = search("first", "second", pattern="needle", path=f"{engine.parent}:{PATH}")

    assert found.data["count"] == 1
    assert found.data["skipped"] == [
        {"file": str(logs / "second"), "why": "No such file or directory"}
    ]


def test_lines_and_replies_are_cut_to_a_bearable_length(logs: Path, search: Search) -> None:
    (logs / "a").write_text("".join(f"{number} {'x' * 9000}\n" for number in range(2000)))

    found = search("a", limit=10_000)

    assert found.data["count"] == 2000
    assert found.data["truncated"] is True
    assert texts(found)[-1].startswith("1999 xxx")
    assert max(len(text) for text in texts(found)) == 4096
    assert sum(len(text) for text in texts(found)) <= MEBIBYTE


def test_the_last_lines_come_from_the_file_that_changed_last(logs: Path, search: Search) -> None:
    for name, changed in (("z", 1_000), ("a", 2_000)):
        (logs / name).write_text(f"1 {name}\n2 {name}\n")
        os.utime(logs / name, (changed, changed))

    assert texts(search("*", limit=3)) == ["2 z", "1 a", "2 a"]


def test_bytes_that_are_no_text_arrive_as_marks(logs: Path, search: Search) -> None:
    """NUL too: no database takes it."""
    (logs / "a").write_bytes(b"needle \xff\x00\x1b[31m end\r\n")

    assert texts(search("a", pattern="needle")) == ["needle \ufffd\ufffd\x1b[31m end"]


def test_grep_does_it_where_there_is_no_ripgrep(
    logs: Path, search: Search, without_ripgrep: str
) -> None:
    (logs / "a").write_bytes(b"\x00 NEEDLE 1\nneedle 2\nother\n")

    found = search("a", pattern="needle [0-9]+", ignore_case=True, path=without_ripgrep)
    refused = search("a", pattern="a(", path=without_ripgrep)

    assert found.data["engine"] == "grep"
    assert found.data["count"] == 2
    assert refused.reply is not None
    assert refused.reply["statuscode"] == 4


def test_a_pattern_that_would_stop_other_engines_does_not_stop_this_one(
    logs: Path, search: Search
) -> None:
    (logs / "a").write_text("a" * 5_000 + "b\n")
    began = time.monotonic()

    found = search("a", pattern="^(a+)+$")

    assert found.data["count"] == 0
    assert time.monotonic() - began < 10


def test_a_pattern_is_never_an_option(logs: Path, search: Search) -> None:
    (logs / "a").write_text("--version\n")

    assert texts(search("a", pattern="--version")) == ["--version"]


def test_without_a_list_of_roots_it_is_var_log(tmp_path: Path) -> None:
    env = {"FLEETJOBS_LOGS_CONFIG": str(tmp_path / "nosuch.json")}

    refused = call(AGENT, tmp_path / "work", "search", {"files": ["/etc/hosts"]}, env=env)

    assert refused.reply is not None
    assert refused.reply["statusmsg"] == "/etc/hosts is not under /var/log"
