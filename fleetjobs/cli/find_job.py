"""Finding a job by what a person calls it."""

from collections.abc import Callable
from typing import Any, TypeVar

import rich_click as click

from fleetjobs.cli.complete import job_ids
from fleetjobs.client.fleet import NOT_FOUND, Fleet
from fleetjobs.client.replies import Document
from fleetjobs.errors import NotFound, Problem

C = TypeVar("C", bound=Callable[..., Any])

LAST = "last"  #: stands for the newest job of whoever asks


def job_argument(command: C) -> C:
    """Let a command take a job; see `find_job`."""
    return click.argument("job", metavar="JOB", shell_complete=job_ids)(command)


def find_job(asked: Fleet, text: str) -> Document:
    """The job of that id, or the newest of one's own. Raises NotFound."""
    if text == LAST:
        newest = next(asked.jobs([("caller", "me")], most=1), None)
        if newest is None:
            raise NotFound("you have not asked for any job yet")
        return asked.job(newest["id"])  # a list says less of it
    try:
        return asked.job(text)
    except Problem as problem:
        if problem.status != NOT_FOUND:
            raise
    raise NotFound(f"there is no job {text!r}")
