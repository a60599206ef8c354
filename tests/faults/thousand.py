"""Thousand: a thousand background jobs, while every program is killed and started again at random.

    python -m tests.faults.thousand [--jobs 1000] [--nodes 20] [--minutes 10] [--stack NAME]

Tells how many outcomes and starts there were, and exits with 1 if a job has no outcome, an attempt
began twice, or any other invariant was violated.
"""

import argparse
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.faults.caller import Caller
from tests.faults.checker import Checker
from tests.faults.fleet import STACKS, Fleet, raise_fleet
from tests.faults.killer import Killer
from tests.faults.oracle import START, counts, read_marks

SECONDS = 1.0  #: that each job takes
SUBMITTING = 0.9  #: share of the time in which jobs are asked for
DRAIN_S = 300.0  #: twenty nodes that share two cores with all that they talk to


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What came of them."""

    jobs: int
    outcomes: Counter[str]  # by state and reason
    starts: Counter[int]  # by attempt number
    doubles: int  # attempts that began more than once
    kills: Counter[str]
    drained_s: float  # from the last kill to the last outcome
    violations: list[str]

    def tell(self) -> str:
        """For people."""
        kills = ", ".join(f"{count} x {what}" for what, count in self.kills.most_common())
        ends = ", ".join(f"{count} {end}" for end, count in self.outcomes.most_common())
        starts = ", ".join(f"{count} as attempt {n}" for n, count in sorted(self.starts.items()))
        return "\n".join(
            [
                f"{self.jobs} jobs, {self.outcomes.total()} outcomes: {ends}",
                f"starts: {starts}; {self.doubles} doubles",
                f"kills: {self.kills.total()} ({kills}); drained {self.drained_s:.0f} s later",
                f"{len(self.violations)} violations",
                *self.violations,
            ]
        )


def endure(fleet: Fleet, seed: int, *, jobs: int, seconds: float, every_s: float) -> Account:
    """Ask for the jobs, a node each, while the killer is about; then heal, drain and count."""
    caller, killer = Caller(fleet, drain_s=DRAIN_S), Killer(fleet, seed, every_s)
    began = time.monotonic()
    with ThreadPoolExecutor(1) as asking:
        asked = asking.submit(_ask, caller, Random(seed), jobs, began, seconds)  # noqa: S311  a die
        killer.go_on(began + seconds)
    asked.result()
    fleet.heal()
    calm = time.monotonic()
    caller.insist()
    late = _wait(caller)
    return _count(caller, killer, time.monotonic() - calm, late)


def _ask(caller: Caller, dice: Random, jobs: int, began: float, seconds: float) -> None:
    """For all of them, evenly over most of the time."""
    for number in range(jobs):
        due = began + SUBMITTING * seconds * number / jobs
        time.sleep(max(0.0, due - time.monotonic()))
        caller.ask(dice.choice(caller.fleet.nodes), seconds=SECONDS)


def _wait(caller: Caller) -> list[str]:
    try:
        caller.wait(within=caller.drain_s)
    except AssertionError as late:
        return [f"I12 {late}"]
    return []


def _count(caller: Caller, killer: Killer, drained_s: float, late: list[str]) -> Account:
    calls = [*caller.calls.values()]
    ends = [run for call in calls for run in caller.runs(call)]
    found = counts(read_marks(caller.fleet.marks))
    starts = Counter[int]()
    for attempt, words in found.items():
        starts[attempt.number] += words[START]
    return Account(
        jobs=len(calls),
        outcomes=Counter(" ".join(filter(None, (run["state"], run["reason"]))) for run in ends),
        starts=starts,
        doubles=sum(words[START] > 1 for words in found.values()),
        kills=killer.kills,
        drained_s=drained_s,
        violations=[*late, *Checker(caller).check()],
    )


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.thousand")
    parser.add_argument("--jobs", type=int, default=1000, help="(%(default)s)")
    parser.add_argument("--nodes", type=int, default=20, help="(%(default)s)")
    parser.add_argument("--minutes", type=float, default=10.0, help="(%(default)g)")
    parser.add_argument("--every", type=float, default=1.5, help="seconds between kills")
    parser.add_argument("--seed", type=int, help="of who is killed (any)")
    parser.add_argument("--stack", choices=[*STACKS], help="alone (each in turn)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Endure; the exit status."""
    options = make_parser().parse_args(arguments)
    seed = options.seed if options.seed is not None else secrets.randbelow(10**6)
    found = 0
    for stack in [options.stack] if options.stack else list(STACKS):
        with tempfile.TemporaryDirectory(prefix="fleetjobs-thousand-") as place:
            _say(f"seed {seed} on {stack} …")
            with raise_fleet(Path(place), stack, options.nodes) as fleet:
                account = endure(
                    fleet,
                    seed,
                    jobs=options.jobs,
                    seconds=options.minutes * 60,
                    every_s=options.every,
                )
                _say(account.tell())
                if account.violations:
                    _say(fleet.say())
        found += len(account.violations)
    return 1 if found else 0


def _say(text: str) -> None:
    """Print at once: whoever waits looks now and then."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
