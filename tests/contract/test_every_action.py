"""Every action of every agent that comes with fleetjobs can be asked for, now and for later."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from fleetjobs.control.jobs import Control
from fleetjobs.errors import Refused
from fleetjobs.inputs import Input, InputType
from fleetjobs.interfaces import Action
from fleetjobs.messages import Inventory
from fleetjobs.states import State
from fleetjobs.store.database import Database
from fleetjobs.store.nodes import save_beats
from fleetjobs.store.standing import DELIVER_AHEAD
from tests.agent_programs import DIRECTORIES, interface_of
from tests.desk import Desk
from tests.makers import Clock, enroll, make_beat

ACTIONS = [
    action for directory in DIRECTORIES for action in interface_of(directory).actions.values()
]
#: one of these fits each input that has to be given
TEXTS = (
    "a",
    "web1",
    "/srv/a",
    "10G",
    "10.0.0.1",
    "2026-12-01T04:00:00Z",
    "all",
    "debian-12",
    "a:b",
)
VALUES: dict[InputType, tuple[Any, ...]] = {
    InputType.BOOLEAN: (True,),
    InputType.ARRAY: (["a"], ["/tmp/a"], []),  # noqa: S108  a word
    InputType.HASH: ({},),
}


@pytest.fixture
def desk(database: Database) -> Desk:
    """A desk with a node behind it that has every agent."""
    enroll(database, "all1")
    interfaces = {found.name: dict(found.document) for found in map(interface_of, DIRECTORIES)}
    with database.transaction() as connection:
        inventory = Inventory(facts={}, interfaces=interfaces)
        clock = Clock()
        save_beats(connection, [make_beat("all1", inventory=inventory)], clock())
    return Desk(Control(database, clock), clock)


def needed(action: Action) -> dict[str, Any]:
    """Inputs that fit, as few as may be."""
    return {
        name: next(_fitting(declared))
        for name, declared in action.inputs.items()
        if declared.default is None and not declared.optional
    }


def _fitting(declared: Input) -> Iterator[Any]:
    for value in (*(declared.choices or ()), *VALUES.get(declared.type, ()), *TEXTS, 1, 1024):
        try:
            declared.check(value)
        except Refused:
            continue
        yield value


@pytest.mark.spec("S0-01")
def test_any_action_is_accepted_for_later_and_handed_over_for_its_time(desk: Desk) -> None:
    """From then on all are alike: a node starts at its time whatever lies in its spool."""
    at = desk.clock() + timedelta(days=1)
    jobs = [
        desk.submit(
            "all1", agent=action.agent, action=action.name, data=needed(action), not_before=at
        )
        for action in ACTIONS
    ]

    assert {desk.job(job).state for job in jobs} == {State.SCHEDULED}
    assert desk.hand_over() == []
    desk.later(timedelta(days=1) - DELIVER_AHEAD)
    assert {job for job, _, _, _ in desk.hand_over()} == set(jobs)


def test_every_agent_of_ours_is_among_them() -> None:
    assert {"demo", "logs", "package", "rpcutil", "service"} <= {one.agent for one in ACTIONS}
