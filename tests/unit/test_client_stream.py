"""Server-sent events: reading them, and going on where a connection broke."""

from pathlib import Path
from typing import cast
from unittest.mock import Mock

import pytest

from fleetjobs.client.asking import Call, submit
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.jobs import Job
from fleetjobs.client.profile import Profile
from fleetjobs.client.stream import Stream, StreamEvent, read_events
from fleetjobs.client.transport import Transport
from fleetjobs.errors import ServerAway, Unauthenticated
from fleetjobs.targets import Target
from tests.fake_fleet import FakeNode, ok
from tests.fake_http import TOKEN
from tests.fake_server import FakeServer


def test_events_are_read_with_their_kind_id_and_data() -> None:
    lines = b'retry: 1000\n\n: alive\n\nid: 7\nevent: run.ended\ndata: {"a":\ndata: 1}\n\n'

    events = list(read_events(lines.splitlines(keepends=True)))

    assert events == [StreamEvent("run.ended", {"a": 1}, "7")]


def test_what_is_no_json_is_passed_over() -> None:
    assert list(read_events([b"data: {\n", b"\n", b"data: 2\n", b"\n"])) == [
        StreamEvent("message", 2, None)
    ]


def test_an_event_cut_off_at_the_end_is_not_taken_for_one() -> None:
    assert list(read_events([b"event: end\n", b'data: {"id"'])) == []


def test_a_broken_stream_is_resumed_and_no_reply_counts_twice() -> None:
    """Every connection is cut after two messages; all nodes reply once."""
    nodes = [FakeNode(name=f"web{number}", outcome=ok(), delay=0.05) for number in range(7)]
    with FakeServer(nodes) as server:
        server.break_after = 2
        fleet = Fleet(Transport(Profile(url=server.url, token=TOKEN)))
        call = Call(agent="rpcutil", action="ping", data={}, target=Target())

        replies = list(Job(fleet, submit(fleet, call)).replies(20))

    assert sorted(reply.sender for reply in replies) == [f"web{number}" for number in range(7)]
    assert sum("events" in address for address in server.asked) > 3


def test_a_server_that_went_away_for_good_is_named_at_the_deadline(tmp_path: Path) -> None:
    with FakeServer([FakeNode(name="web1", outcome=lambda _: None)]) as server:
        fleet = Fleet.connect(server.profile(tmp_path / "client.toml"))
        call = Call(agent="rpcutil", action="ping", data={}, target=Target())
        replies = Job(fleet, submit(fleet, call)).replies(1.0)
        assert replies.next(0.1) is None
        server.stop()

    with pytest.raises(ServerAway, match=r"127\.0\.0\.1"):
        next(replies)


def test_who_is_refused_amid_a_stream_is_told_why() -> None:
    """By the answer to the next request: the same as whoever comes with a bad token."""

    class Gate:
        """Lets in once."""

        asked = 0

        def stream(self, *_: str, **__: object) -> tuple[list[bytes], object]:
            """Two messages; then nothing any more."""
            self.asked += 1
            if self.asked > 1:
                raise Unauthenticated("the token is unknown, expired or revoked")
            lines = b'event: log\ndata: 1\n\nevent: refused\ndata: {"code": "unauthenticated"}\n\n'
            return lines.splitlines(keepends=True), Mock()

    stream = Stream(cast("Transport", Gate()), "jobs", "j1", "events")

    assert stream.next(20) == StreamEvent("log", 1)
    with pytest.raises(Unauthenticated):
        stream.next(20)
