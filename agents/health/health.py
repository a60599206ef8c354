"""health: whether a node is well, by the checks that its owner has put there.

A check is a program that ends with 0 if all is well; what it writes says what is not.
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from fleetjobs.agent import INVALID_DATA, Agent, action, main

CHECKS = Path("/etc/fleetjobs/health.d")  #: FLEETJOBS_HEALTH_CHECKS names another directory
MOST_WORDS = 300  #: characters of what a check says that are told


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found."""

    name: str
    well: bool
    words: str


class Health(Agent):
    """The action that asks all checks."""

    @action
    def check(self, at_least: int = 1, within_s: float = 60) -> None:
        """Run every check; fail if one of them does, or if there are too few."""
        if within_s <= 0:
            self.fail(f"within_s is {within_s:g}; a check takes some time", INVALID_DATA)
        checks = find_checks(Path(os.environ.get("FLEETJOBS_HEALTH_CHECKS") or CHECKS))
        findings = []
        for number, path in enumerate(checks):
            self.progress(100 * number // len(checks), path.name)
            findings.append(examine(path, within_s))
        ill = [finding for finding in findings if not finding.well]
        self.reply.update(
            count=len(findings),
            ill=[{"name": finding.name, "words": finding.words} for finding in ill],
        )
        if ill:
            told = "; ".join(f"{finding.name}: {finding.words}" for finding in ill)
            self.fail(f"{len(ill)} of {len(findings)} checks failed: {told}")
        if len(findings) < at_least:
            self.fail(f"there are {len(findings)} checks, and not {at_least}: nobody can tell")


def find_checks(directory: Path) -> list[Path]:
    """The programs in it, by their names."""
    if not directory.is_dir():
        return []
    return sorted(
        path for path in directory.iterdir() if path.is_file() and os.access(path, os.X_OK)
    )


def examine(path: Path, within_s: float) -> Finding:
    """What one check finds; one that takes too long or cannot be run has found something."""
    try:
        done = subprocess.run(
            [str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=within_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding(path.name, well=False, words=f"took longer than {within_s:g} s")
    except OSError as error:
        return Finding(path.name, well=False, words=f"cannot be run: {error.strerror}")
    text = done.stdout.decode(errors="replace").strip()
    print(f"{path.name} ended with {done.returncode}\n{text}")
    words = text.rpartition("\n")[2][:MOST_WORDS] or f"ended with {done.returncode}"
    return Finding(path.name, well=done.returncode == 0, words=words)


if __name__ == "__main__":
    main()
