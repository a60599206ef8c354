"""Moorings: make sure that a state directory and a port are ours before a fleet ties up there."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fleetjobs.errors import Conflict, InvalidSetting

LEFTOVERS_S = 20.0  #: how long the processes of a killed fleet may take to notice and end


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
