"""Init services: real services of this machine, for as long as a test takes."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SCRIPTS = Path("/etc/init.d")
BOOTED = Path("/run/systemd/system").is_dir()

SCRIPT = """#!/bin/sh
### BEGIN INIT INFO
# Provides:          {name}
# Required-Start:
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: a test of fleetjobs
### END INIT INFO
pid={directory}/pid
case $1 in
start)
    [ ! -e {directory}/broken ] || {{ echo "no luck" >&2; exit 1; }}
    echo "starting, PATH=$PATH"
    # like many daemons it keeps the streams it was given
    [ -e {directory}/dies ] || {{ sleep 600 & echo $! >$pid; }}
    ;;
stop)
    kill "$(cat $pid)" && rm $pid
    ;;
restart)
    $0 stop
    $0 start
    ;;
status)
    [ -e $pid ] || exit 3
    kill -0 "$(cat $pid)" 2>/dev/null || exit 1
    ;;
*)
    echo "Usage: $0 start|stop|restart|status" >&2
    exit 3
    ;;
esac
"""


@contextmanager
def init_service(directory: Path) -> Iterator[str]:
    """The name of one that keeps its pid in that directory; skips where none can be made."""
    if BOOTED or os.geteuid() != 0 or not SCRIPTS.is_dir():
        pytest.skip("takes a machine with init scripts, and root")
    name = f"fleetjobs-test-{os.getpid()}"
    script = SCRIPTS / name
    script.write_text(SCRIPT.format(name=name, directory=directory))
    script.chmod(0o755)
    try:
        yield name
    finally:
        subprocess.run([script, "stop"], check=False, capture_output=True)
        script.unlink()
        subprocess.run(["update-rc.d", name, "remove"], check=False, capture_output=True)
