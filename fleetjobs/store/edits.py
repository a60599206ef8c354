"""Edits: a job asked for anew, at once or as soon as a node has given its run back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select

from fleetjobs.jobs import Job, Pending
from fleetjobs.names import NodeId
from fleetjobs.requests import After
from fleetjobs.store.dependencies import set_dependencies
from fleetjobs.store.entries import JobEntry, RunEntry
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.schema.runs import runs

_TIMES = ("not_before", "start_before")
_COLUMNS = (
    "caller",
    "data",
    "target",
    "sealed",
    "max_attempts",
    "give_up_s",
    "fills",
    "priority",
    "splay_s",
    *_TIMES,
)


def edit_of(job: Job, *, meaning: str, after: Sequence[After]) -> dict[str, Any]:
    """What a job is to be, as the database keeps it until a node agrees."""
    columns = {name: getattr(job, name) for name in (*_COLUMNS, "max_failures")}
    kept: dict[str, Any] = msgspec.to_builtins({**columns, "meaning": meaning, "after": after})
    return kept


def apply_edit(ledger: Ledger, job: JobEntry, *, actor: str) -> None:
    """Let the job be what its edit says."""
    columns = dict(job.edit or {})
    after = msgspec.convert(columns.pop("after"), list[After])
    for name in _TIMES:
        columns[name] = msgspec.convert(columns[name], datetime | None)
    if job.plan is None:  # a leg waits for what its plan says
        set_dependencies(ledger.connection, job.id, after)
    ledger.touch(job, **columns, edit=None)
    ledger.note_job(job, "job.edited", actor=actor)


def forget_place(job: JobEntry, run: RunEntry) -> None:
    """Let the run of an edited job have its place in the splay anew, when it is lined up.

    A time of its own that comes from a batch or a leg's delay stays.
    """
    if job.plan is None and job.rollout is None and run.attempt == 1:
        run.change(not_before=None)


def drop_edit_if_too_late(ledger: Ledger, job: JobEntry, *, actor: str) -> None:
    """Let the job be what it is, if it has begun wherever it was to be edited."""
    query = select(runs.c.node).where(runs.c.job == job.id, runs.c.pending == Pending.EDIT)
    for node in ledger.connection.execute(query).scalars():
        run = ledger.run(job.id, NodeId(node))
        if run is None or run.pending is Pending.EDIT:
            return
    ledger.touch(job, edit=None)
    ledger.note_job(job, "job.edit_too_late", actor=actor)
