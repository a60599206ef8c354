"""Asking: what a call is made of, checked by its interface and sent as a request."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from time import sleep
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct, field
from uuid_utils.compat import uuid7

from fleetjobs.client.conditions import AT_ONCE, NEVER, Conditions
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.profile import Profile
from fleetjobs.client.replies import Document
from fleetjobs.client.stream import Opened, Stream
from fleetjobs.client.transport import Query
from fleetjobs.clocks import now
from fleetjobs.documents import encode
from fleetjobs.errors import InvalidSetting, Problem, ServerAway
from fleetjobs.interfaces import Interface, read_interface
from fleetjobs.names import JobId
from fleetjobs.requests import Request
from fleetjobs.targets import Target

if TYPE_CHECKING:
    from fleetjobs.signing import SigningKey

T = TypeVar("T")

JOSE = "application/jose"
JSON = "application/json"
AGAIN_S = (0.3, 1.0, 2.0)  #: pauses before a request is sent again; its id keeps it one job
ENDS = (("only", "ends"),)  #: the events of a job that bring replies
AWAY = 503  #: what the server answers while its database is away


def utc_now() -> datetime:
    """The time."""
    return now()


class Call(Struct, frozen=True, kw_only=True):
    """One action on one target, not yet asked for."""

    agent: str
    action: str
    data: Mapping[str, Any]
    target: Target
    conditions: Conditions = AT_ONCE
    id: JobId = field(default_factory=lambda: JobId(str(uuid7())))

    @property
    def state(self) -> None:
        """None: a job, with a state, comes of it when it is submitted."""


def fetch_interface(fleet: Fleet, agent: str) -> Interface:
    """What the agent declares. Raises UnknownAgent, naming those like it."""
    return read_interface(fleet.agent(agent)["interface"], is_known=True)


def aim(target: Target, agent: str) -> Target:
    """The target, less the nodes that do not have the agent, unless they were named one by one.

    So `package.update` without a target means every node that has packages, as in MCollective,
    and who names a node without them is told.
    """
    if target.identities or agent in target.agents:
        return target
    return msgspec.structs.replace(target, agents=(*target.agents, agent))


def query_of(target: Target) -> Query:
    """The target as the query of `GET /nodes`."""
    return [
        *(("identity", word) for word in target.identities),
        *(("fact", word) for word in target.facts),
        *(("class", word) for word in target.classes),
        *(("agent", word) for word in target.agents),
        ("compound", target.compound),
        *([("limit", target.limit), ("method", target.method)] if target.limit else []),
        ("seed", target.seed),
    ]


def submit(
    fleet: Fleet,
    call: Call,
    *,
    clock: Callable[[], datetime] = utc_now,
    pause: Callable[[float], None] = sleep,
) -> Document:
    """Ask for it; the job that was accepted. Raises Problem, ServerAway, InvalidSetting.

    Signed by the profile's key if it has one, else the server signs. Sent again for a few seconds
    while the server is away: the id is the same, so it is the same job.
    """
    body, content_type = _body(fleet, call, clock)
    return send(fleet, "jobs", body=body, content_type=content_type, pause=pause)


def check(fleet: Fleet, call: Call, *, clock: Callable[[], datetime] = utc_now) -> Document:
    """What it would come to; nothing is kept. Raises Problem, ServerAway, InvalidSetting."""
    body, content_type = _body(fleet, call, clock)
    return send(fleet, "jobs", "check", body=body, content_type=content_type)


def send(
    fleet: Fleet,
    *path: str,
    body: bytes,
    content_type: str,
    pause: Callable[[float], None] = sleep,
) -> Document:
    """Hand a document in that bears its own id: sent again while the server is away.

    Raises Problem, ServerAway.
    """
    post = fleet.transport.post
    return _persist(lambda: post(*path, body=body, content_type=content_type), pause)


def follow(
    fleet: Fleet,
    call: Call,
    *,
    clock: Callable[[], datetime] = utc_now,
    pause: Callable[[float], None] = sleep,
) -> tuple[Document, Stream | None]:
    """Ask for it as `submit` does; the job, and its events if the server answered with them."""
    body, content_type = _body(fleet, call, clock)
    return _persist(lambda: _open(fleet, call.id, body, content_type), pause)


def _persist(ask: Callable[[], T], pause: Callable[[float], None]) -> T:
    for again in (*AGAIN_S, None):
        try:
            return ask()
        except ServerAway:
            if again is None:
                raise
        except Problem as problem:
            if again is None or problem.status != AWAY:
                raise
        pause(again)
    raise AssertionError("the last pause is None")


def _open(
    fleet: Fleet, job: JobId, body: bytes, content_type: str
) -> tuple[Document, Stream | None]:
    opened = Opened.of(
        *fleet.transport.post_stream("jobs", query=ENDS, body=body, content_type=content_type)
    )
    document: Document | None = None
    try:
        if not opened.is_stream:
            document = json.loads(opened.answer.read())
        elif (first := next(opened.events, None)) is not None and first.kind == "job":
            document = first.data
    except (OSError, ValueError) as error:
        opened.close()
        raise ServerAway(f"the connection broke: {error}") from None
    if document is None or not opened.is_stream:
        opened.close()
    if document is None:
        raise ServerAway("the connection broke before the job was told")
    path = ("jobs", job, "events")
    stream = Stream(fleet.transport, *path, query=ENDS, opened=opened) if opened.is_stream else None
    return document, stream


def _body(fleet: Fleet, call: Call, clock: Callable[[], datetime]) -> tuple[bytes, str]:
    profile = fleet.transport.profile
    if profile.key_path is None:
        return _plain(call), JSON
    request = Request(
        id=call.id,
        org=profile.org,
        caller=profile.account,
        agent=call.agent,
        action=call.action,
        data=dict(call.data),
        target=call.target,
        created_at=clock(),
        **call.conditions.fields,
    )
    return signing_key(profile).seal(encode(request)).encode(), JOSE


def signing_key(profile: Profile) -> "SigningKey":
    """The key of a profile that has one. Raises InvalidSetting."""
    from fleetjobs.signing import SigningKey, account_key_id  # late: only who has a key needs it

    if profile.key_path is None:
        raise InvalidSetting(f"{profile.origin}: names no key")
    return SigningKey.load(account_key_id(profile.account), profile.key_path)


def _plain(call: Call) -> bytes:
    wanted = call.conditions
    document = {
        "id": call.id,
        "agent": call.agent,
        "action": call.action,
        "data": call.data,
        "target": msgspec.to_builtins(call.target),
        "not_before": _text(wanted.not_before),
        "start_before": NEVER if wanted.keep else _text(wanted.start_before),
        "after": msgspec.to_builtins(wanted.after),
        "retries": wanted.retries,
        "rollout": msgspec.to_builtins(wanted.rollout),
        "priority": wanted.priority or None,
        "splay_s": wanted.splay_s or None,
    }
    given = {name: value for name, value in document.items() if value not in (None, [], ())}
    return json.dumps(given, ensure_ascii=False, allow_nan=False).encode()


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def deadline_of(timeout: timedelta) -> timedelta:
    """How long to wait for the replies of an action of that timeout.

    Beyond the timeout itself a node takes up to 10 s to end an action that will not stop, and the
    messages take their time.
    """
    return timeout + timedelta(seconds=15)
