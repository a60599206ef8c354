"""Names: what jobs and nodes are called."""

import re
from typing import NewType

from fleetjobs.errors import InvalidDocument

JobId = NewType("JobId", str)  #: UUIDv7 in its 36-character form, chosen by whoever asks
NodeId = NewType("NodeId", str)  #: a node's identity, such as `web1.example.org`

JOB_ID = re.compile(r"\A[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
NODE_ID = re.compile(r"\A[A-Za-z0-9@][A-Za-z0-9._-]{0,127}\Z")


def job_id(text: str) -> JobId:
    """The text as a job id. Raises InvalidDocument if it is not a lower-case UUID."""
    if not JOB_ID.match(text):
        raise InvalidDocument(f"{text[:60]!r} is not a job id (a UUID in lower case)")
    return JobId(text)


def node_id(text: str) -> NodeId:
    """The text as a node identity. Raises InvalidDocument for anything a file name could not be."""
    if not NODE_ID.match(text):
        raise InvalidDocument(
            f"{text[:60]!r} is not a node identity (1 to 128 letters, digits, dots, dashes)"
        )
    return NodeId(text)
