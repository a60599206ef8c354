"""What is kept of inline replies is what may be asked for again, and no more than there is room."""

from fleetjobs.documents import decode
from fleetjobs.messages import Reply
from fleetjobs.names import JobId
from fleetjobs.node.recent import MOST, Recent
from fleetjobs.spool.attempts import RunKey
from tests.makers import make_reply, new_id


def one(size: int = 10) -> tuple[RunKey, Reply]:
    job = new_id()
    return RunKey(JobId(job), 1), make_reply(job, data={"text": "x" * size})


def test_what_was_told_is_found_as_it_was_told() -> None:
    recent = Recent()
    key, reply = one()

    recent.add(key, reply)

    told = recent.find(key)
    assert told is not None
    assert decode(Reply, told) == reply
    assert recent.find(one()[0]) is None


def test_the_oldest_go_where_there_are_many_or_long_ones() -> None:
    many, room = Recent(), Recent(most_bytes=30_000)
    few, long = [one() for _ in range(MOST + 5)], [one(10_000) for _ in range(5)]
    for key, reply in few:
        many.add(key, reply)
    for key, reply in long:
        room.add(key, reply)
    longest, reply = one(100_000)
    kept = [room.find(key) is not None for key, _ in long]
    room.add(longest, reply)

    assert [many.find(key) is not None for key, _ in few] == [False] * 5 + [True] * MOST
    assert kept == [False, False, False, True, True]
    assert room.find(longest) is not None
    assert room.find(long[-1][0]) is None
