"""All benchmarks, one after the other, each shortly: `python -m benchmarks`, or `make bench`."""

import subprocess
import sys
import time

SHORTLY = (
    "fanout --nodes 1 10 30 --cpu",
    "cli_start --rounds 7",
    "submit --rounds 50",
    "throughput --runs 2000",
    "memory --nodes 30",
    "simulator --nodes 300 1000",
    "store --runs 1 1000",
    "node",
    "agents --runs 30 --rounds 3",
    "schedules --schedules 100 3000 --rounds 1 --idle 5",
    "plans --headers 200 --rounds 3 --chords 1 --slow 1",
)


def main() -> int:
    """Run them; the exit status is that of the first that fails."""
    for words in SHORTLY:
        began = time.perf_counter()
        print(f"\n== python -m benchmarks.{words}", flush=True)
        name, *options = words.split()
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=False)
        if done.returncode:
            return done.returncode
        print(f"-- {time.perf_counter() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
