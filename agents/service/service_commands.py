"""Commands: run the tools that steer services, without ties to the services they start."""

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from fleetjobs.agent import Fail

MOST_OUTPUT = 64 * 1024  #: bytes of a command's output that are looked at
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {  # a service must not depend on who starts it, nor on the request of this run
    "PATH": PATH,
    "LC_ALL": "C.UTF-8",
}


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a command."""

    status: int
    output: str  # both streams


def run(*argv: str) -> Done:
    """Run a command to its end. Raises Fail if it cannot be started.

    It has a session of its own: a daemon that an init script starts shall outlive this run, which
    ends with its process group. Its output is a file, since daemons keep theirs open.
    """
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=ENVIRONMENT,
                start_new_session=True,
            )
        except OSError as error:
            raise Fail(f"{argv[0]} cannot be run: {error.strerror}") from None
        try:
            status = process.wait()
        except BaseException:  # SIGTERM: the command, being in another group, has to be told
            os.killpg(process.pid, signal.SIGTERM)
            raise
        output.seek(0)
        return Done(status, output.read(MOST_OUTPUT).decode(errors="replace"))


def change(*argv: str) -> None:
    """Run a command that changes something, and show its output. Raises Fail with its words."""
    done = run(*argv)
    sys.stdout.write(done.output)
    if done.status:
        words = "; ".join(line.strip() for line in done.output.splitlines() if line.strip())
        raise Fail(f"{' '.join(argv)} ended with {done.status}: {words[-500:]}")
