"""Bells: wake-ups between processes. Hints only: whoever hears one looks into the database."""

import contextlib
import os
import select
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import psycopg

from fleetjobs.errors import DatabaseAway

DISPATCH = "dispatch"  #: topic: runs may be due for hand-over
SCHEDULES = "schedules"  #: topic: another occurrence may be the next one
NOTICES = "notices"  #: topic: something is to be told to somebody
CHANGES = "changes"  #: topic: jobs changed; the payload is their ids, joined by comma
EVERYTHING = ""  #: the payload that says: look at everything
NEW = "new"  #: that of CHANGES for a job of which nobody but who asks for it can know yet

LIMIT_BYTES = 7_999  #: PostgreSQL carries no more in a notification
_SEPARATOR = "~"
_CHANNEL = "fleetjobs_"


class Listener(Protocol):
    """Hears the bells of some topics, from when it was made."""

    def wait(self, within: float) -> list[str] | None:
        """The payloads that rang within so many seconds; None if none did.

        Raises DatabaseAway; a later call tries again and then reports EVERYTHING.
        """

    def close(self) -> None:
        """Stop hearing."""


def fitting(payload: str) -> str:
    """The payload, or EVERYTHING if it is too long to travel."""
    return payload if len(payload.encode()) <= LIMIT_BYTES else EVERYTHING


def ring_sockets(directory: Path, topic: str, payload: str) -> None:
    """Send to every listening socket of the topic; sweep away those whose owners died."""
    try:
        entries = [entry.name for entry in directory.iterdir()]
    except FileNotFoundError:
        return  # nobody ever listened
    listening = [name for name in entries if topic in name.split(_SEPARATOR)[1:]]
    if not listening:
        return
    with _place(directory) as place, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(0)
        for name in listening:
            try:
                sender.sendto(payload.encode(), f"{place}/{name}")
            except BlockingIOError:
                pass  # it has enough to wake up for
            except ConnectionRefusedError:
                (directory / name).unlink(missing_ok=True)
            except OSError:  # gone meanwhile, or not ours: a hint need not arrive
                continue


class SocketListener:
    """Hears bells by a datagram socket in the directory beside the database file."""

    def __init__(self, directory: Path, topics: Sequence[str]) -> None:
        """Begin to hear."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = directory / _SEPARATOR.join((uuid4().hex, *topics))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(0)
        with _place(directory) as place:
            self._socket.bind(f"{place}/{self._path.name}")

    def wait(self, within: float) -> list[str] | None:
        """The payloads that rang within so many seconds; None if none did."""
        if not select.select([self._socket], [], [], within)[0]:
            return None
        payloads: list[str] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                payloads.append(self._socket.recv(LIMIT_BYTES + 1).decode())
        return payloads or None

    def close(self) -> None:
        """Stop hearing."""
        self._path.unlink(missing_ok=True)
        self._socket.close()


@contextlib.contextmanager
def _place(directory: Path) -> Iterator[str]:
    """A short name for the directory: a socket's address has 108 bytes, a path may have more."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


class NotificationListener:
    """Hears bells by PostgreSQL's LISTEN, on a connection of its own."""

    def __init__(self, conninfo: str, topics: Sequence[str]) -> None:
        """Begin to hear. Raises DatabaseAway."""
        self._conninfo = conninfo
        self._topics = topics
        self._connection: psycopg.Connection | None = None
        self._connect()

    def wait(self, within: float) -> list[str] | None:
        """The payloads that rang within so many seconds; None if none did. Raises DatabaseAway."""
        if self._connection is None:
            self._connect()
            return [EVERYTHING]  # something may have rung meanwhile
        try:
            payloads = [
                bell.payload for bell in self._connection.notifies(timeout=within, stop_after=1)
            ]
        except psycopg.Error as error:
            self.close()
            raise DatabaseAway(f"the database no longer notifies: {error}") from None
        return payloads or None

    def close(self) -> None:
        """Stop hearing."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> None:
        try:
            connection = psycopg.connect(self._conninfo, autocommit=True)
            for topic in self._topics:
                connection.execute(f'LISTEN "{channel(topic)}"'.encode())
        except psycopg.Error as error:
            raise DatabaseAway(f"the database does not answer: {error}") from None
        self._connection = connection


def channel(topic: str) -> str:
    """The PostgreSQL channel of a topic."""
    return _CHANNEL + topic
