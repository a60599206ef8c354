"""Puppet runs: start the program, pass on what it writes, and read its exit code rightly."""

import os
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from fleetjobs.agent import Fail

MOST_WORDS = 500  #: characters of what puppet says that are told in a message
NOISE = "Error: Facter:"  #: facts that cannot be found out do not stop a run
TELLING = ("Error: ", "Notice: Skipping run", "Notice: Run of Puppet")


class Outcome(StrEnum):
    """What `--detailed-exitcodes` says of a run."""

    UNCHANGED = "unchanged"  # 0: all was as it should be
    NOT_RUN = "not run"  # 1: no catalog, disabled, or another run at work
    CHANGED = "changed"  # 2
    FAILED = "failed"  # 4: resources failed
    PARTLY = "partly failed"  # 6: some changed, others failed
    UNKNOWN = "unknown"  # anything else: killed, or no puppet that we know

    @property
    def has_changed(self) -> bool:
        """Whether something on the node is other than before."""
        return self in (Outcome.CHANGED, Outcome.PARTLY)


EXIT_CODES = {
    0: Outcome.UNCHANGED,
    1: Outcome.NOT_RUN,
    2: Outcome.CHANGED,
    4: Outcome.FAILED,
    6: Outcome.PARTLY,
}


@dataclass(frozen=True, slots=True)
class Run:
    """What became of a run."""

    exit_code: int
    words: str  # why it did not succeed, as puppet put it

    @property
    def outcome(self) -> Outcome:
        """What the exit code says."""
        return EXIT_CODES.get(self.exit_code, Outcome.UNKNOWN)


def change(*argv: str) -> Run:
    """Run puppet to its end, its output into our own as it comes. Raises Fail if there is none."""
    print("+ puppet", *argv, flush=True)
    last: deque[str] = deque(maxlen=3)
    telling: deque[str] = deque(maxlen=3)
    try:
        # a pipe will do: puppet gives files to what it starts, so no daemon keeps this one open
        with subprocess.Popen(
            ["puppet", *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(),
            text=True,
            errors="replace",
        ) as process:
            for line in process.stdout or ():
                sys.stdout.write(line)
                sys.stdout.flush()
                if line.strip() and not line.startswith(NOISE):
                    last.append(line.strip())
                    if line.startswith(TELLING) and line.strip() not in telling:
                        telling.append(line.strip())
    except OSError as error:
        raise _cannot(error) from None
    return Run(process.returncode, ("; ".join(telling or last) or "it said nothing")[:MOST_WORDS])


def ask(*argv: str) -> str:
    """What puppet answers, when nothing but its own state changes. Raises Fail with its words."""
    try:
        done = subprocess.run(
            ["puppet", *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=_environment(),
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise _cannot(error) from None
    if done.returncode:
        words = "; ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise Fail(f"puppet {argv[0]} ended with {done.returncode}: {words[:MOST_WORDS]}")
    return done.stdout


def _cannot(error: OSError) -> Fail:
    if isinstance(error, FileNotFoundError):
        return Fail("puppet is not installed here: looked on the PATH and in /opt/puppetlabs/bin")
    return Fail(f"puppet cannot be run: {error.strerror}")


def _environment() -> dict[str, str]:
    # services that puppet starts are no part of this run; ending it shall spare them
    own = {name: value for name, value in os.environ.items() if not name.startswith("FLEETJOBS_")}
    path = os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    return {**own, "PATH": f"{path}:/opt/puppetlabs/bin:/usr/local/sbin:/usr/sbin:/sbin"}
