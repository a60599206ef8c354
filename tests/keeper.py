"""Keeper: one process that holds a server for all workers of a test session.

The workers of pytest-xdist come and go, so none of them can own what they share. The first that
needs a server starts its keeper; the keeper stops it when the session (the process that started
pytest) is gone, however that ended.
"""

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.processes import BOOT_S, ServerFailed, ServerMissing, ServerProcess
from tests.servers import Postgres, Rabbit, Redis

KINDS = {"postgres": Postgres, "rabbit": Rabbit, "redis": Redis}


def shared(kind: str, directory: Path, session: int) -> dict[str, str]:
    """What the session's server of this kind says of itself; the first caller has it started.

    `session` is the pid of the process whose end ends the server. Raises ServerMissing,
    ServerFailed.
    """
    described = directory / f"{kind}.json"
    with (directory / f"{kind}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not described.exists():
            _start_keeper(kind, directory, session)
            _wait_until_there(described)
    document: dict[str, str] = json.loads(described.read_text())
    if "missing" in document:
        raise ServerMissing(document["missing"])
    if "failed" in document:
        raise ServerFailed(document["failed"])
    return document


def next_number(directory: Path) -> int:
    """1, 2, 3, … for the whole session: no two tests get the same."""
    with (directory / "numbers").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("x")
        file.flush()
        return file.tell()


def _start_keeper(kind: str, directory: Path, session: int) -> None:
    root = Path(__file__).parents[1]
    argv = [sys.executable, "-m", "tests.keeper", kind, str(directory), str(session)]
    with (directory / f"{kind}.keeper.log").open("ab") as log:
        process = subprocess.Popen(
            argv,
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    process.returncode = 0  # it outlives us on purpose; Popen would warn that it does


def _wait_until_there(described: Path) -> None:
    deadline = time.monotonic() + BOOT_S + 10
    while not described.exists():
        if time.monotonic() > deadline:
            raise ServerFailed(f"no {described} within {BOOT_S:g} s")
        time.sleep(0.02)


def _keep(kind: str, directory: Path, session: int) -> None:
    described = directory / f"{kind}.json"
    try:
        server: ServerProcess = KINDS[kind](directory / kind)
        with server:
            _publish(described, {"url": server.url, "management": _management(server)})
            _wait_for_end(session)
    except (ServerMissing, ServerFailed) as fault:
        key = "missing" if isinstance(fault, ServerMissing) else "failed"
        _publish(described, {key: str(fault)})
    finally:
        shutil.rmtree(directory / kind, ignore_errors=True)


def _management(server: ServerProcess) -> str:
    return server.management_url if isinstance(server, Rabbit) else ""


def _publish(path: Path, document: dict[str, str]) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(document))
    new.rename(path)


def _wait_for_end(session: int) -> None:
    """Block until that process is gone."""
    try:
        descriptor = os.pidfd_open(session)
    except ProcessLookupError:
        return
    select.select([descriptor], [], [])


if __name__ == "__main__":
    _keep(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
