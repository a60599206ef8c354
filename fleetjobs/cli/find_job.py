"""Finding a job by what a person calls it."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

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
    """The job of that id, the newest of one's own, or a leg of either: `last/start`.

    Raises NotFound.
    """
    name, _, key = text.partition("/")
    if key:
        return asked.job(find_leg(asked, find_job(asked, name), key))
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


def find_leg(asked: Fleet, plan: Document, key: str) -> str:
    """The id of the leg or group; those in groups are found by `group/leg` too.

    Raises NotFound naming those that there are.
    """
    legs = {str(leg["key"]): str(leg["id"]) for leg in asked.legs(plan["id"])}
    short = key.rpartition("/")[2]
    if short not in legs:
        few = ", ".join(list(legs)[:12]) or "none"
        raise NotFound(f"{plan['id']} has no leg {key!r:.70}; it has {few}")
    return legs[short]
