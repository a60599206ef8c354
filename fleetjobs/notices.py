"""Notices: what is worth telling somebody, and where it is told: by mail, or to a webhook."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from fleetjobs.errors import InvalidNotification
from fleetjobs.states import Reason, State
from fleetjobs.times import read_duration

MOST = 20  #: sinks, of one wish or schedule
FORBIDDEN = (  # where machines keep what only they may read, and what is no host
    *("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32"),
    *("0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/128", "ff00::/8"),
)
_MAIL = re.compile(r"\A[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}\Z")
_HOOK = re.compile(r"\Ahttps?://[A-Za-z0-9.\-\[\]:]{1,260}(?:/[!-~]{0,1500})?\Z")


class Topic(StrEnum):
    """What happened."""

    START = "start"  # the first run of a job began
    SUCCESS = "success"
    FAILURE = "failure"  # a job failed or expired
    ATTENTION = "attention"  # a run waits for a person, for instance because its node was lost
    DURATION = "duration"  # a job takes longer than it should
    FAILING = "failing"  # a schedule's jobs fail that did not before
    RECOVERED = "recovered"  # a schedule's jobs succeed that failed before
    EXCEPTION = "exception"  # the coordinator came upon a mistake of its own
    REPORT = "report"  # the fleet tells how it is: node-report, attention-digest
    TEST = "test"


OF_JOBS = (
    *(Topic.START, Topic.SUCCESS, Topic.FAILURE, Topic.ATTENTION, Topic.REPORT),
    Topic.DURATION,
)


class Kind(StrEnum):
    """How it is told."""

    MAIL = "mail"
    WEBHOOK = "webhook"


class Tls(StrEnum):
    """How the way to the mail server is encrypted."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class Sink:
    """Where it is told; written `mail:ops@example.org` or `webhook:https://example.org/hook`."""

    kind: Kind
    address: str


def read_sink(text: str) -> Sink:
    """The sink that is meant. Raises InvalidNotification."""
    kind, _, address = text.partition(":")
    if kind == Kind.MAIL and _MAIL.match(address):
        return Sink(Kind.MAIL, address)
    if kind == Kind.WEBHOOK and _HOOK.match(address):
        return Sink(Kind.WEBHOOK, address)
    raise InvalidNotification(
        f"{text[:60]!r} is no sink; write mail:ops@example.org, or webhook:https://example.org/hook"
        " without a user or password"
    )


def check_sinks(texts: Sequence[str]) -> None:
    """Let a list of sinks pass. Raises InvalidNotification."""
    if len(texts) > MOST:
        raise InvalidNotification(f"{len(texts)} sinks; give {MOST} at most")
    for text in texts:
        read_sink(text)


def read_topics(text: str) -> tuple[tuple[Topic, ...], float | None]:
    """What is to be told of a job, and after how many seconds it takes too long.

    Such as `failure,attention,duration:10m`. Raises InvalidNotification, InvalidTime.
    """
    topics: list[Topic] = []
    duration_s = None
    for word in filter(None, (each.strip() for each in text.split(","))):
        name, _, span = word.partition(":")
        if name not in OF_JOBS or bool(span) != (name == Topic.DURATION):
            known = ", ".join(OF_JOBS[:-1])
            raise InvalidNotification(f"{word[:40]!r} is none of {known}, duration:10m")
        if span:
            duration_s = read_duration(span).total_seconds()
        topics.append(Topic(name))
    return tuple(dict.fromkeys(topics)), duration_s


def topic_of(kind: str, new: State | None, reason: str | None) -> Topic | None:
    """What a row of a job's log tells to those who wish to hear; None: nothing."""
    if kind.startswith("run."):
        needs = new is State.PAUSED and reason not in {None, Reason.HOLD}
        return Topic.ATTENTION if needs else None
    if not kind.startswith("job."):
        return None
    match new:
        case State.RUNNING:
            return Topic.START
        case State.SUCCEEDED:
            return Topic.SUCCESS
        case State.FAILED | State.EXPIRED:
            return Topic.FAILURE
        case _:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that is told to one sink; its id is the same however often it is sent."""

    id: str
    org: str | None  # None: to those who run the fleet
    topic: Topic
    sink: str
    job: str | None
    schedule: str | None
    document: dict[str, Any]  # what is told; no inputs, no outputs, no secrets
    created_at: datetime
    due_at: datetime | None  # None: it was sent, or given up
    tries: int = 0
    sent_at: datetime | None = None
    wish: str | None = None  # whose time has passed; of topic `duration` alone
    error: str = ""  # why it could not be sent the last time


def subject(notice: Notice) -> str:
    """One line that says it."""
    told = notice.document
    what = {
        Topic.START: "{action} has begun",
        Topic.SUCCESS: "{action} succeeded",
        Topic.FAILURE: "{action} {state}{why}",
        Topic.ATTENTION: "{action} needs a person{why}",
        Topic.DURATION: "{action} takes longer than expected",
        Topic.FAILING: "schedule {schedule} fails: {action} {state}{why}",
        Topic.RECOVERED: "schedule {schedule} works again",
        Topic.EXCEPTION: "the coordinator's {loop} failed: {error}",
        Topic.REPORT: "{report}: {summary}",
        Topic.TEST: "test",
    }[notice.topic]
    values = {name: str(value)[:200] for name, value in told.items() if value is not None}
    values["why"] = f" ({told['reason']})" if told.get("reason") else ""
    org = f"[{notice.org}] " if notice.org else ""
    return f"fleetjobs: {org}{what.format_map(_Known(values))}"


class _Known(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "?"


def text_of(document: Mapping[str, Any]) -> str:
    """The whole of it for a person, a line each; lists and tables below their names."""
    return "".join(
        f"{name}:{_lines(value)}\n" for name, value in document.items() if value is not None
    )


def _lines(value: Any) -> str:
    if isinstance(value, Mapping):
        value = [f"{name}: {inner}" for name, inner in value.items()]
    if isinstance(value, list):
        return "".join(f"\n  {item}" for item in value) or " none"
    return f" {value}"
