"""Headways: how far runs at work have come, as their programs tell."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from fleetjobs.contract import Progress
from fleetjobs.messages import Headway
from fleetjobs.names import JobId, NodeId
from fleetjobs.states import State
from fleetjobs.store.columns import printable
from fleetjobs.store.entries import RunName
from fleetjobs.store.ledger import Ledger

_AT_WORK = frozenset({State.RUNNING, State.CANCELLING})


def save_headways(connection: Connection, headways: Sequence[Headway], now: datetime) -> set[JobId]:
    """Note the last that was told of each attempt at work; gives the jobs that it concerns.

    What comes late is of no interest, and what comes twice or out of order takes nothing back.
    """
    told: dict[RunName, tuple[int, Progress]] = {
        (JobId(run.job), NodeId(headway.node)): (run.attempt, run.progress)
        for headway in headways
        for run in headway.runs
    }
    if not told:
        return set()
    ledger = Ledger(connection, told, now)
    for name, (attempt, progress) in told.items():
        run = ledger.run(*name)
        if run is not None and run.attempt == attempt and run.state in _AT_WORK:
            ledger.tell(run, progress.percent, printable(progress.text))
    return ledger.write()
