"""Webhooks: whoever receives them keeps nobody waiting."""

import contextlib
import socket
import threading
import time

import pytest

from fleetjobs.errors import Undelivered
from fleetjobs.notices import Topic
from fleetjobs.sinks.webhook import Poster
from fleetjobs.store.notices import make_notice
from tests.makers import NOW, ORG


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_receiver_that_answers_byte_by_byte_is_hung_up_on(scheme: str) -> None:
    """Each byte comes in time, and the answer never: all other notifications would wait for it."""
    answer = b"HTTP/1.1 2" if scheme == "http" else b"\x16\x03\x03\x40\x00"  # a long record
    answer += bytes(16_000)
    over = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            for byte in answer:
                connection.send(bytes([byte]))
                if over.wait(0.05):
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        dripping = threading.Thread(target=drip, args=(server,))
        dripping.start()
        hook = f"{scheme}://127.0.0.1:{server.getsockname()[1]}/"
        notice = make_notice(
            org=ORG, topic=Topic.TEST, sink=f"webhook:{hook}", document={}, now=NOW
        )
        began = time.monotonic()
        with pytest.raises(Undelivered):
            Poster(key=None, whole_s=0.3).send(hook, notice)
        took_s = time.monotonic() - began
        over.set()
        dripping.join()

    assert took_s < 5
