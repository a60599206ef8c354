"""Moorings: what a fleet needs before it ties up: a state directory, a port, a broker."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from fleetjobs.errors import Conflict, InvalidSetting, Unavailable

LEFTOVERS_S = 20.0  #: how long the processes of a killed fleet may take to notice and end
BROKER_PORTS = {"amqp": 5672, "amqps": 5671, "redis": 6379, "rediss": 6379}
BROKER_WAIT_S = 5.0  #: how long a broker may take to accept a connection


@contextmanager
def hold(path: Path) -> Iterator[int]:
    """The lock of a state directory, as a descriptor. Raises Conflict while another fleet has it.

    Raises InvalidSetting for a directory in which nothing can be written.

    Programs that the fleet starts inherit it: it is free only when the last of them is gone, so a
    fleet whose `up` was killed cannot have its spools and queues taken by a second one too early.
    """
    descriptor = _open(path)
    try:
        _take(descriptor, path)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        os.set_inheritable(descriptor, True)  # noqa: FBT003  its only argument
        yield descriptor
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        reason = f"{path.parent} cannot be written: {error.strerror}; give another --state"
        raise InvalidSetting(reason) from None


def _take(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + LEFTOVERS_S
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        if holder.isdigit() and Path("/proc", holder).exists():
            raise Conflict(
                f"a fleet is up in {path.parent} already (process {holder});"
                " stop it, or give another --state"
            )
        if time.monotonic() > deadline:
            raise Conflict(f"processes of the last fleet in {path.parent} still run")
        time.sleep(0.1)


def free_or_refuse(port: int, option: str) -> None:
    """Nothing, if the loopback port can be listened on. Raises Conflict naming the option."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Conflict(
                f"port {port} cannot be used: {error.strerror}; give another {option}"
            ) from None


def reach_broker(url: str) -> None:
    """Nothing, if somebody listens where a broker is said to be.

    Else every part of a fleet would wait for it in silence. Raises InvalidSetting, Unavailable.
    """
    place = urlsplit(url)
    if place.scheme == "redis+socket":
        return
    try:
        where = place.hostname or "127.0.0.1", place.port or BROKER_PORTS[place.scheme]
    except (KeyError, ValueError):
        raise InvalidSetting(
            "--broker names no broker that is known; write"
            " amqp://user:password@127.0.0.1:5672/fleet, or redis://127.0.0.1:6379/0"
        ) from None
    try:
        socket.create_connection(where, timeout=BROKER_WAIT_S).close()
    except OSError as error:
        why = error.strerror or str(error)
        raise Unavailable(f"the broker at {where[0]}:{where[1]} does not answer: {why}") from None
