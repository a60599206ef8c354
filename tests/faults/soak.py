"""Soak: random histories, one after the other, for as long as is wanted.

    python -m tests.faults.soak [--minutes 30] [--seed N] [--steps 100] [--stack redis-sqlite]

Each history has a seed, printed before it begins; `--seed` begins with that one. Exits with 1 if
an invariant was violated, after saying how and in which history.
"""

import argparse
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.faults.fleet import STACKS, Fleet, raise_fleet
from tests.faults.histories import History

STEPS = 100  #: of a history, before it is healed and checked
NODES = 3


def live(fleet: Fleet, seed: int, steps: int) -> tuple[History, list[str]]:
    """One history from its first step to its check, and the violations."""
    history = History(fleet, seed)
    for _ in range(steps):
        history.step()
    return history, history.end()


def tell(history: History, violations: Sequence[str]) -> str:
    """What a reader needs to understand the violations."""
    return "\n".join(
        [
            f"seed {history.seed}: {len(violations)} violations",
            *violations,
            "what was done:",
            *history.log,
            history.fleet.say(),
        ]
    )


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak")
    parser.add_argument("--minutes", type=float, default=30.0, help="(%(default)g)")
    parser.add_argument("--seed", type=int, help="of the first history (any)")
    parser.add_argument("--steps", type=int, default=STEPS, help="of each (%(default)s)")
    parser.add_argument("--stack", choices=[*STACKS], help="alone (each in turn)")
    return parser


def soak(fleets: Mapping[str, Fleet], seed: int, steps: int, until: float) -> int:
    """History after history, on each fleet in turn, until then (monotonic); the violations."""
    jobs, faults, found, began = 0, Counter[str](), 0, seed
    while time.monotonic() < until and not found:
        stack = sorted(fleets)[seed % len(fleets)]
        say(f"seed {seed} on {stack} …")
        history, violations = live(fleets[stack], seed, steps)
        jobs += len(history.caller.calls)
        faults += history.faults
        found += len(violations)
        if violations:
            say(tell(history, violations))
        fleets[stack].marks.unlink(missing_ok=True)
        seed += 1
    say(f"{seed - began} histories, {jobs} jobs, {faults.total()} faults, {found} violations")
    say(", ".join(f"{name} {count}" for name, count in faults.most_common()))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak; the exit status."""
    options = make_parser().parse_args(arguments)
    seed = options.seed if options.seed is not None else secrets.randbelow(10**6)
    until = time.monotonic() + options.minutes * 60
    stacks = [options.stack] if options.stack else list(STACKS)
    with ExitStack() as opened:
        place = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="fleetjobs-soak-")))
        fleets = {
            stack: opened.enter_context(raise_fleet(place / stack, stack, NODES))
            for stack in stacks
        }
        return 1 if soak(fleets, seed, options.steps, until) else 0


def say(text: str) -> None:
    """Print at once: whoever waits for hours looks now and then."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
