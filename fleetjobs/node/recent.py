"""Recent: replies of inline actions, kept in memory should the broker lose them."""

from fleetjobs.documents import encode
from fleetjobs.messages import Reply
from fleetjobs.spool.attempts import RunKey

MOST = 1_000  #: replies
MOST_BYTES = 16 * 1024 * 1024  #: as they are told; a query may answer with megabytes


class Recent:
    """The last of them, as they are told; the oldest go first."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._told: dict[RunKey, bytes] = {}
        self._bytes = 0

    def add(self, key: RunKey, reply: Reply) -> None:
        """Keep one; the last is there in any case."""
        told = encode(reply)
        self._bytes += len(told) - len(self._told.pop(key, b""))
        self._told[key] = told
        while len(self._told) > 1 and (len(self._told) > MOST or self._bytes > self._most_bytes):
            self._bytes -= len(self._told.pop(next(iter(self._told))))

    def find(self, key: RunKey) -> bytes | None:
        """What was told of that attempt, if it is still there."""
        return self._told.get(key)
