"""Messages: the documents that cross the broker, and their bytes.

Every document travels as JSON, sealed by `signing` (JWS, RFC 7515): what was signed is what
arrives. Unknown fields are refused, so that a later version cannot be half understood.
The JSON Schemas in `docs/schemas/` are made from these classes and from `requests`.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from fleetjobs.contract import Next, Progress
from fleetjobs.documents import Document, Id, Identity, Moment, read
from fleetjobs.states import Reason, State

TOGETHER = 50  #: deliveries or replies in one message
TOGETHER_BYTES = 256 * 1024  #: what travels together is not longer, unless one alone is


class Delivery(Document, frozen=True, kw_only=True, tag="delivery"):
    """One attempt of one run, addressed to one node; signed by the coordinator's key.

    It travels beside the request and names it by digest, so that neither can be put beside another.
    """

    job: Id
    node: Identity
    attempt: Annotated[int, Meta(ge=1)]
    generation: Annotated[int, Meta(ge=0)] = 0
    request: Annotated[str, Meta(description="SHA-256 of the sealed request, hexadecimal")]
    known: bool = False  # the node has told of the attempt: a question, never a start
    key: Annotated[
        str | None,
        Meta(description="public key of the node, base64url; another machine of its name refuses"),
    ] = None
    issued_at: Moment
    not_before: Moment | None = None
    start_before: Moment | None = None
    fills: Annotated[
        dict[str, Any] | None,
        Meta(description="of a leg: the values of the references in the request's data"),
    ] = None  # None: the data are meant as they are


class Deliveries(Document, frozen=True, kw_only=True, tag="deliveries"):
    """Several deliveries in one message; signed by the coordinator's key, once for all of them.

    Each means what it would mean alone. The requests that they name travel beside it.
    """

    node: Identity
    issued_at: Moment
    deliveries: Annotated[list[Delivery], Meta(min_length=1, max_length=TOGETHER)]


class Verb(StrEnum):
    """What a node is told to do with an attempt."""

    WITHDRAW = "withdraw"  # give it back, unless it has begun
    STOP = "stop"  # end it, whether it has begun or not


class Order(Document, frozen=True, kw_only=True, tag="order"):
    """A change of mind about an attempt, addressed to one node; signed by the coordinator's key.

    The highest generation counts, whatever arrives first: no delivery of this generation or a
    lower one may start any more.
    """

    job: Id
    node: Identity
    attempt: Annotated[int, Meta(ge=1)]
    generation: Annotated[int, Meta(ge=1)]
    verb: Verb
    issued_at: Moment


class Asked(StrEnum):
    """What can be asked of a node's spool."""

    RUNS = "runs"  # the attempts of a job, or all
    LOG = "log"  # a part of what an attempt wrote


class Question(Document, frozen=True, kw_only=True, tag="question"):
    """A question to one node, answered from its disk; signed by the coordinator's key."""

    id: Id
    node: Identity
    what: Asked
    job: Id | None = None  # None, of RUNS: all jobs
    attempt: Annotated[int, Meta(ge=1)] | None = None  # None, of LOG: the latest
    stream: Literal["stdout", "stderr"] = "stdout"
    offset: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=1024 * 1024)] = 64 * 1024  # bytes
    issued_at: Moment
    expires_at: Moment  # nobody waits for the answer any longer


class Stage(StrEnum):
    """How far an attempt has come, as its node tells."""

    ACCEPTED = "accepted"  # on the node's disk
    STARTED = "started"  # its program is at work
    FINISHED = "finished"  # over; state, status and data are final
    WITHDRAWN = "withdrawn"  # given back before it began; a higher generation may come


class Output(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a run wrote to one of its streams."""

    size: int  # bytes written in all
    content: bytes = b""  # the first of them, base64 in JSON; `size` tells how many are missing


class Reply(Document, frozen=True, kw_only=True, tag="reply"):
    """What came of one attempt; signed by the node's key. It may arrive any number of times."""

    job: Id
    node: Identity
    attempt: Annotated[int, Meta(ge=1)]
    generation: Annotated[int, Meta(ge=0)] = 0  # the highest the node knows of the attempt
    stage: Stage
    blocked_by: Id | None = None  # with ACCEPTED: the job that holds the slot it waits for
    delay_s: float | None = None  # with FINISHED: the action asks to be tried again after so long
    next: tuple[Next, ...] = ()  # with FINISHED, if it succeeded: jobs that are to follow
    state: State | None = None  # with FINISHED: the terminal state the attempt came to
    reason: Reason | None = None
    statuscode: Annotated[int, Meta(ge=0, le=255)] = 0
    statusmsg: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None  # negative: the signal that ended the program
    accepted_at: Moment | None = None
    started_at: Moment | None = None
    ended_at: Moment | None = None
    stdout: Output | None = None  # None: nothing was written
    stderr: Output | None = None


class Replies(Document, frozen=True, kw_only=True, tag="replies"):
    """Several replies in one message; signed by the node's key, once for all of them."""

    node: Identity  # whose they all are
    replies: Annotated[list[Reply], Meta(min_length=1, max_length=TOGETHER)]


class Refusal(Document, frozen=True, kw_only=True, tag="refusal"):
    """A message the node would not take because it could not be believed; signed by the node."""

    node: Identity
    at: Moment
    code: str  # an error's code: unauthentic, misaddressed, stale, invalid_document, …
    why: str
    message: Annotated[str, Meta(description="SHA-256 of what arrived, hexadecimal")]
    task: str = ""  # the task id it travelled under, as claimed


class RunHeadway(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How far an attempt has come."""

    job: Id
    attempt: Annotated[int, Meta(ge=1)]
    progress: Progress  # the last that its program told


class Headway(Document, frozen=True, kw_only=True, tag="headway"):
    """What programs at work tell of their progress; signed by the node's key. It may be lost."""

    node: Identity
    runs: Annotated[list[RunHeadway], Meta(max_length=1000)]


class Beat(Document, frozen=True, kw_only=True, tag="beat"):
    """`I live`, and with `inventory` what the node is; signed by the node's key."""

    node: Identity
    at: Moment
    started_at: Moment  # of the worker
    software: str  # fleetjobs' version
    running: int = 0
    waiting: int = 0  # accepted and not yet started
    slots: int = 0  # runs at once; 0: it does not say
    takes: Annotated[int, Meta(ge=1, le=TOGETHER)] = 1  # deliveries in one message
    inventory: "Inventory | None" = None  # at start, on change, and every so often


class Inventory(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a node is: facts, classes, and the interfaces of its agents."""

    facts: dict[str, Any]
    classes: list[str] = []
    interfaces: dict[str, dict[str, Any]] = {}  # by agent name, as in <agent>.json
    refused: dict[str, str] = {}  # agents that could not be loaded, and why


class RunReport(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An attempt as it lies on a node's disk."""

    job: Id
    attempt: int
    generation: int = 0
    task: str  # agent.action
    stage: Stage
    state: State | None = None  # with FINISHED
    statusmsg: str = ""
    progress: Progress | None = None  # the last that its program told
    not_before: Moment | None = None
    accepted_at: Moment | None = None
    started_at: Moment | None = None
    ended_at: Moment | None = None
    stdout_size: int = 0  # bytes
    stderr_size: int = 0


class LogPart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of what an attempt wrote to one of its streams."""

    attempt: int
    offset: int
    content: bytes  # base64 in JSON
    size: int  # bytes on disk by now
    is_over: bool  # nothing more will be written


class Answer(Document, frozen=True, kw_only=True, tag="answer"):
    """What a node's disk says to a question; signed by the node's key."""

    node: Identity
    question: Id
    at: Moment
    runs: list[RunReport] = field(default_factory=list)
    log: LogPart | None = None
    error: str = ""  # why there is no answer


FromNode = Reply | Replies | Refusal | Beat | Answer | Headway  #: what may lie in the reply queue


def decode_from_node(raw: bytes) -> FromNode:
    """The bytes as whatever a node may send. Raises InvalidDocument."""
    document: FromNode = read(FromNode, raw)
    return document
