"""Reply files: what a program left, which may be anything.

A reply has to fit into a message, and everyone on its way has to be able to read it.
"""

import os
import stat
from pathlib import Path
from typing import Any

import msgspec

from fleetjobs.errors import InvalidInput
from fleetjobs.values import check_value

LIMIT_BYTES = 4 * 1024 * 1024  #: of a reply document; it has to fit into a message
#: what is shorter fits when it is written anew, however it grows: 1e15 becomes 1000000000000000.0
_MAY_GROW = LIMIT_BYTES // 8


def read_raw(path: Path) -> bytes | str:
    """The content of the file, or why there is none. One that is too long is removed."""
    try:
        # a pipe would have us wait for ever
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return "it left no reply"
    except OSError as error:
        return f"its reply cannot be read: {error.strerror}"
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return "its reply cannot be read: it is not a file"
        raw = _read(descriptor)
    except OSError as error:
        return f"its reply cannot be read: {error.strerror}"
    finally:
        os.close(descriptor)
    if len(raw) > LIMIT_BYTES:
        path.unlink(missing_ok=True)
        return f"its reply is longer than {LIMIT_BYTES} bytes"
    return raw


def _read(descriptor: int) -> bytes:
    """All of it, or a byte more than is allowed; a read may give less than it is asked for."""
    content = b""
    while len(content) <= LIMIT_BYTES and (
        chunk := os.read(descriptor, LIMIT_BYTES + 1 - len(content))
    ):
        content += chunk
    return content


def fault_in(data: dict[str, Any], raw: bytes) -> str:
    """Why nobody could be told that data; empty if there is nothing against it."""
    try:
        check_value(data, "data", may_hold_nul=True)
    except InvalidInput as error:
        return f"its reply cannot be read: {error}"
    longest = max(len(raw), len(msgspec.json.encode(data)) if len(raw) > _MAY_GROW else 0)
    if longest > LIMIT_BYTES:
        return f"its reply is longer than {LIMIT_BYTES} bytes"
    return ""
