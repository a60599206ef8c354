"""Questions: put to a node, answered once, forgotten soon."""

from datetime import timedelta

import pytest

from fleetjobs.control.jobs import Control
from fleetjobs.coordinator.reaper import Reaper
from fleetjobs.errors import NotFound
from fleetjobs.messages import Answer, Asked, LogPart
from fleetjobs.names import NodeId
from fleetjobs.store.database import Database
from fleetjobs.store.questions import mark_asked, questions_to_send, save_answers
from tests.desk import MINUTE, Desk
from tests.makers import ORG, Clock, add_org, enroll, new_id

WEB1, WEB2 = NodeId("web1"), NodeId("web2")
SECONDS = timedelta(seconds=5)


@pytest.fixture
def desk(database: Database) -> Desk:
    """A desk with two nodes behind it."""
    enroll(database, "web1", "web2")
    clock = Clock()
    return Desk(Control(database, clock), clock)


def answer(desk: Desk, question: str, node: str = "web1", size: int = 3) -> set[str]:
    """The node answers; which questions that answered."""
    part = LogPart(attempt=1, offset=0, content=b"abc", size=size, is_over=True)
    said = Answer(node=node, question=question, at=desk.clock(), log=part)
    with desk.control.database.transaction() as connection:
        return save_answers(connection, [said], desk.clock())


def test_a_question_is_sent_once_and_answered_once(desk: Desk) -> None:
    job, questions = new_id(), desk.control.questions
    how = {"org": ORG, "job": job, "attempt": None, "stream": "stderr", "within": SECONDS}
    name = questions.ask_log(WEB1, offset=10, limit=10**9, **how)  # type: ignore[arg-type]  # of one kind each

    with desk.control.database.transaction() as connection:
        (sent,) = questions_to_send(connection, desk.clock(), 10)
        mark_asked(connection, [sent], desk.clock())
        assert questions_to_send(connection, desk.clock(), 10) == []
    assert (sent.id, sent.what, sent.node, sent.stream) == (name, Asked.LOG, "web1", "stderr")
    assert (sent.offset, sent.limit) == (10, 1024 * 1024)
    assert questions.answers([name], org=ORG) == {WEB1: None}

    assert answer(desk, name, "web2") == set()  # nobody asked it
    assert answer(desk, name) == {name}
    assert answer(desk, name, size=9) == set()

    said = questions.answers([name], org=ORG)[WEB1]
    assert said is not None
    assert said.log is not None
    assert (said.log.content, said.log.size) == (b"abc", 3)
    assert questions.answers([name], org="other") == {}


def test_each_node_is_asked_by_itself(desk: Desk) -> None:
    questions = desk.control.questions
    names = questions.ask_runs([WEB1, WEB2], org=ORG, job=None, within=SECONDS)

    answer(desk, names[1], "web2")

    found = questions.answers(names, org=ORG)
    assert found[WEB1] is None
    assert found[WEB2] is not None


def test_only_nodes_of_the_org_are_asked(desk: Desk) -> None:
    add_org(desk.control.database, "other")

    for org, node in (("other", WEB1), (ORG, NodeId("web9"))):
        with pytest.raises(NotFound):
            desk.control.questions.ask_runs([node], org=org, job=None, within=SECONDS)


def test_what_nobody_waits_for_is_neither_sent_nor_kept(desk: Desk) -> None:
    names = desk.control.questions.ask_runs([WEB1], org=ORG, job=None, within=SECONDS)

    desk.later(SECONDS)
    with desk.control.database.reading() as connection:
        assert questions_to_send(connection, desk.clock(), 10) == []
    desk.later(MINUTE)
    Reaper(desk.control.database, desk.clock).step()

    assert desk.control.questions.answers(names, org=ORG) == {}
