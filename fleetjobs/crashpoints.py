"""Crash points: named places where the fault tests kill a process, to the line.

`FLEETJOBS_CRASH_POINT=after_ack` kills the process (SIGKILL, nothing is cleaned up) whenever it
comes there; with `FLEETJOBS_CRASH_ONCE=<file>` only the one that manages to create that file.
Unset, as it is outside of tests, a crash point costs one look into the environment.
"""

import os
import signal
from pathlib import Path
from typing import Literal, get_args

POINT = "FLEETJOBS_CRASH_POINT"
ONCE = "FLEETJOBS_CRASH_ONCE"

CrashPoint = Literal[
    "before_spool",  # receiver: believed and allowed, nothing on disk
    "after_spool",  # receiver: on disk, not acknowledged
    "between_deliveries",  # receiver: one of several that came together is taken, the next is not
    "after_ack",  # receiver: acknowledged, launcher not woken
    "after_seen",  # receiver: an inline action is written down as begun, nothing was done
    "after_fence",  # receiver: an order is durable, nothing was done about it
    "after_fork",  # runner: forked, nothing claimed
    "after_claim",  # runner: the attempt is its own, no program yet
    "after_announce",  # runner: the program is announced on disk and about to begin
    "mid_run",  # runner: the program has begun
    "before_stop",  # runner: the program has to end, and knows nothing of it
    "before_outbox",  # runner: the program has ended, its reply is not sealed
    "after_outbox",  # runner: the reply is in the outbox, the launcher not told
    "after_send",  # sender: the broker has confirmed, the outbox not cleared
    "control_before_commit",  # control: a job is written, nothing of it is durable
    "control_after_commit",  # control: the job is durable, the caller not told
    "dispatcher_after_lining_up",  # dispatcher: runs are in line for slots, none was given
    "dispatcher_after_giving_slots",  # dispatcher: runs have slots, the broker has none of them
    "dispatcher_after_publish",  # dispatcher: the broker has the runs, the database not noted it
    "collector_before_commit",  # collector: replies are written, nothing of it is durable
    "collector_between_parts",  # collector: some of the replies it took are durable, others not
    "collector_after_commit",  # collector: the replies are durable, the broker may not forget them
    "scheduler_before_commit",  # scheduler: jobs are written, nothing of it is durable
    "scheduler_after_commit",  # scheduler: the occurrences have their fates
]
CRASH_POINTS: tuple[CrashPoint, ...] = get_args(CrashPoint)


def crash_point(name: CrashPoint) -> None:
    """Die here, if a fault test asks for it."""
    if os.environ.get(POINT) == name and _is_first():
        os.kill(os.getpid(), signal.SIGKILL)


def _is_first() -> bool:
    once = os.environ.get(ONCE)
    if once is None:
        return True
    try:
        Path(once).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
