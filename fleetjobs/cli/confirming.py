"""Confirming: what came of a wish by now, and which nodes have not said so yet."""

from collections.abc import Callable
from datetime import timedelta
from time import monotonic, sleep

from fleetjobs.cli.screen import line, stdout
from fleetjobs.cli.session import program
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.replies import Document
from fleetjobs.states import State

LOOK_S = 0.1  #: how often we look whether nodes have confirmed
NAMED = 5  #: nodes that are named; the others are counted

DONE = {
    "cancel": "is cancelled",
    "hold": "is held",
    "release": "goes on",
    "resolve": "is resolved",
    "resume": "goes on",
    "rollback": "goes back",
    "skip": "is left out; what needs it starts only if it asks for completed or always",
    "edit": "is changed",
}
UNDER_WAY = {
    "cancel": "is being cancelled",
    "hold": "is to be held",
    "release": "is to go on",
    "resolve": "is resolved",
    "resume": "is to go on",
    "rollback": "is to go back",
    "skip": "is left out",
    "edit": "is to be changed",
}


def settled(
    asked: Fleet, job: Document, within: timedelta, pause: Callable[[float], None] = sleep
) -> Document:
    """The job once its nodes have confirmed what they were told, or as it stands by then."""
    end = monotonic() + within.total_seconds()
    while not is_settled(job) and monotonic() < end:
        pause(LOOK_S)
        job = asked.job(job["id"])
    return job


def is_settled(job: Document) -> bool:
    """Whether no node has anything left to confirm."""
    return bool(job["confirmed"]) and job["state"] != State.CANCELLING


def tell(asked: Fleet, verb: str, job: Document, *, before: Document | None = None) -> None:
    """Say in plain words what came of it, what is still open, and what to do.

    `before`: the job as it was when it was asked for.
    """
    screen = stdout()
    name = f"Job {line(job['id'])}"
    if before and verb != "cancel" and State(before["state"]).is_terminal:
        screen.write(f"{name} {_had_ended(State(before['state']))}.")
        return
    if is_settled(job):
        screen.write(f"{name} {_outcome(verb, job)}.")
        return
    screen.write(f"{name} {UNDER_WAY[verb]}.")
    runs = [run for run in asked.runs(job["id"]) if _is_open(run)]
    away = _away(asked, [run["node"] for run in runs])
    here = [run["node"] for run in runs if run["node"] not in away]
    gone = [run["node"] for run in runs if run["node"] in away]
    if here:
        screen.write(f"   Not confirmed yet by {_names(here)}.")
    if gone:
        screen.write(f"   Away: {_names(gone)}; confirmed when back, and nothing of it starts.")
    screen.write(f"   `{program()} job show {job['id']}` tells what has become of it.")
    if verb == "cancel" and not State(job["state"]).is_terminal:
        screen.write(f"   `{program()} job cancel --force {job['id']}` does not wait for nodes.")


def _outcome(verb: str, job: Document) -> str:
    """What became of the job: not always what was asked for."""
    state = State(job["state"])
    if verb == "cancel" and state is State.REVERTING:
        return "is called off, and what it has done is being undone"
    if verb == "cancel" and state is not State.CANCELLED:
        if state.is_terminal:
            return _had_ended(state)
        counts = ", ".join(f"{number} {line(name)}" for name, number in job["tally"].items())
        return f"is cancelled there; its nodes now: {counts}"
    return DONE[verb]


def _had_ended(state: State) -> str:
    return f"had ended before: {state}"


def _away(asked: Fleet, names: list[str]) -> set[str]:
    """Those of the nodes that were not heard of lately."""
    if not names:
        return set()
    nodes = asked.nodes([("identity", name) for name in names])
    return {node["identity"] for node in nodes if not node["alive"]}


def _is_open(run: Document) -> bool:
    return not run["confirmed"] or run["state"] == State.CANCELLING


def _names(names: list[str]) -> str:
    shown = ", ".join(line(name) for name in names[:NAMED])
    return shown + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
