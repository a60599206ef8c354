"""Replies gathered: no more than may travel together, and none waits for long."""

import pytest

from fleetjobs.documents import Document
from fleetjobs.messages import TOGETHER, TOGETHER_BYTES, Replies
from fleetjobs.names import NodeId
from fleetjobs.node import gathering as module
from fleetjobs.node.gathering import Gathering
from tests.makers import make_reply, new_id


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Document]:
    """What was told, while time stands still."""
    monkeypatch.setattr(module, "monotonic", lambda: 0.0)
    return []


def sizes(told: list[Document]) -> list[int]:
    return [len(each.replies) if isinstance(each, Replies) else 1 for each in told]


def test_they_are_told_together_and_one_alone_is_as_it_is(told: list[Document]) -> None:
    gathering = Gathering(NodeId("web1"), told.append)
    first, *others = [make_reply(new_id()) for _ in range(TOGETHER + 1)]
    for reply in (*others, first):
        gathering.add(reply)
    gathering.close()
    gathering.close()

    assert told == [Replies(node="web1", replies=others), first]


def test_long_ones_do_not_travel_together(told: list[Document]) -> None:
    gathering = Gathering(NodeId("web1"), told.append)
    for _ in range(3):
        gathering.add(make_reply(new_id(), data={"text": "a" * (TOGETHER_BYTES // 2)}))
    gathering.close()

    assert sizes(told) == [1, 1, 1]


def test_what_has_waited_is_told_with_what_comes(
    told: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    gathering = Gathering(NodeId("web1"), told.append)
    gathering.add(make_reply(new_id()))
    monkeypatch.setattr(module, "monotonic", lambda: module.PATIENCE_S)
    gathering.add(make_reply(new_id()))

    assert sizes(told) == [2]
