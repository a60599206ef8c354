"""Announcer: Celery worker events at the true moments, so that Flower shows what happens.

Events are collected here by any thread and sent by the worker's own loop in one message:
https://docs.celeryq.dev/en/stable/userguide/monitoring.html#event-reference
"""

import json
from collections import deque
from datetime import datetime
from typing import Any

from fleetjobs.broker.tasks import task_id
from fleetjobs.interfaces import Action
from fleetjobs.messages import Reply
from fleetjobs.node.admission import Letter
from fleetjobs.states import State

_SHOWN = 1024  # characters of inputs and results that an event carries


class Announcer:
    """What is to be told of runs, in order."""

    def __init__(self) -> None:
        self._events: deque[tuple[str, dict[str, Any]]] = deque(maxlen=10_000)

    def received(self, letter: Letter, action: Action | None) -> None:
        """An attempt has arrived; without an action it was refused, and its inputs stay unshown."""
        data = action.masked(letter.request.data) if action else {}
        name = task_id(letter.delivery)
        self._add(
            "task-received",
            uuid=name,
            name=letter.task,
            args="()",
            kwargs=_short(data),
            root_id=name,
            parent_id=None,
            retries=letter.delivery.attempt - 1,
            eta=None,
            expires=None,
        )

    def started(self, reply: Reply) -> None:
        """The program of an attempt is at work."""
        self._add("task-started", at=reply.started_at, uuid=_name(reply))

    def ended(self, reply: Reply, *, started: bool) -> None:
        """An attempt is over; `started` tells whether it came to run at all."""
        if started:
            self.started(reply)
        at = reply.ended_at
        if reply.state is State.SUCCEEDED:
            runtime = (at - reply.started_at).total_seconds() if at and reply.started_at else 0.0
            self._add(
                "task-succeeded",
                at=at,
                uuid=_name(reply),
                result=_short(reply.data),
                runtime=runtime,
            )
        elif reply.state is State.CANCELLED:
            self._add(
                "task-revoked",
                at=at,
                uuid=_name(reply),
                terminated=reply.started_at is not None,
                signum=None,
                expired=False,
            )
        else:
            why = f"{reply.reason}: {reply.statusmsg}"
            self._add("task-failed", at=at, uuid=_name(reply), exception=why, traceback="")

    def take(self) -> list[tuple[str, dict[str, Any]]]:
        """All events since the last call, oldest first."""
        taken = []
        while self._events:
            taken.append(self._events.popleft())
        return taken

    def _add(self, kind: str, *, at: datetime | None = None, **fields: Any) -> None:
        if at is not None:
            fields["timestamp"] = at.timestamp()
        self._events.append((kind, fields))


def _name(reply: Reply) -> str:
    return f"{reply.job}.{reply.node}.{reply.attempt}"


def _short(data: dict[str, Any]) -> str:
    text = json.dumps(data, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
