"""Nodes: alive as long as they are heard of."""

from datetime import UTC, datetime, timedelta

import pytest

from fleetjobs.names import NodeId
from fleetjobs.nodes import SILENT_AFTER, Node, is_alive

NOW = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seen_at", "alive"),
    [
        (None, False),
        (NOW, True),
        (NOW - SILENT_AFTER, True),
        (NOW - SILENT_AFTER - timedelta(seconds=1), False),
        (NOW + timedelta(minutes=10), True),
    ],
)
def test_a_node_is_alive_until_it_is_silent_for_a_minute(
    seen_at: datetime | None, alive: object
) -> None:
    node = Node(
        identity=NodeId("web1"),
        org="acme",
        facts={},
        classes=frozenset(),
        agents={},
        software=None,
        seen_at=seen_at,
        started_at=None,
        running=0,
        waiting=0,
    )

    assert is_alive(node, NOW) is alive
