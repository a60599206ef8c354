"""Gathering: replies that a node tells together, under one signature and in one message."""

from collections.abc import Callable
from time import monotonic

from fleetjobs.documents import Document, encode
from fleetjobs.messages import TOGETHER, TOGETHER_BYTES, Replies, Reply
from fleetjobs.names import NodeId

PATIENCE_S = 0.1  #: a reply waits no longer for those that come after it


class Gathering:
    """The replies to one message; those that are left are told when it is closed."""

    def __init__(self, node: NodeId, tell: Callable[[Document], None]) -> None:
        self._node = node
        self._tell = tell
        self._replies: list[Reply] = []
        self._bytes = 0
        self._until = 0.0

    def add(self, reply: Reply) -> None:
        """Have it told soon, after those that were added before it."""
        size = len(encode(reply))
        if self._bytes + size > TOGETHER_BYTES:
            self.close()
        if not self._replies:
            self._until = monotonic() + PATIENCE_S
        self._replies.append(reply)
        self._bytes += size
        if len(self._replies) == TOGETHER or monotonic() >= self._until:
            self.close()

    def close(self) -> None:
        """Tell what is left; a reply that is alone needs no other around it."""
        replies, self._replies, self._bytes = self._replies, [], 0
        if len(replies) > 1:
            self._tell(Replies(node=self._node, replies=replies))
        elif replies:
            self._tell(replies[0])
