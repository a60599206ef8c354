"""Printing: replies as text, JSON, lines of JSON, a table, or names alone."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from fleetjobs.aggregates import AggregateResult
from fleetjobs.cli.documents import in_json, style_of
from fleetjobs.cli.screen import Screen, clean, line
from fleetjobs.client.replies import Document, Reply
from fleetjobs.interfaces import Action

LONG = 100  #: characters of JSON that still go on one line


class Outcome(Struct, frozen=True, kw_only=True):
    """What a call came to."""

    job: Document
    replies: Sequence[Reply]  # all of them, in the order they came or were sorted
    shown: Sequence[Reply]  # those that were asked to be shown
    silent: Sequence[str]
    summaries: Sequence[AggregateResult]
    seconds: float

    @property
    def good(self) -> int:
        """How many replies are good."""
        return sum(reply.is_ok for reply in self.replies)

    @property
    def bad(self) -> int:
        """How many are not."""
        return len(self.replies) - self.good


class Printer(Protocol):
    """One way to show replies."""

    def reply(self, reply: Reply, seconds: float) -> str | None:
        """What to print at once of a reply that came so long after the call; None: nothing yet."""

    def end(self, screen: Screen, outcome: Outcome) -> None:
        """Print the rest."""


class Texts(Struct, frozen=True):
    """For people: each reply under its node's name, then the summaries."""

    screen: Screen
    action: Action | None  # None: nobody knows it any more

    def reply(self, reply: Reply, _: float) -> str:
        """The node, what went wrong if anything did, and the data under its titles."""
        name = self.screen.paint(line(reply.sender), "bold" if reply.is_ok else "red")
        if reply.is_ok:
            head = name
            message = "" if reply.statusmsg in ("", "OK") else reply.statusmsg
        else:
            head = f"{name}  {self.screen.paint(_how(reply), 'red')}"
            message = reply.statusmsg
        rows = [head, *(f"   {text}" for text in clean(message).splitlines())]
        return "\n".join([*rows, *self._data(reply.data)]) + "\n"

    def _data(self, data: Mapping[str, Any]) -> list[str]:
        outputs = self.action.outputs if self.action else {}
        names = [name for name in outputs if name in data]
        names += sorted(name for name in data if name not in outputs)
        titles = {name: outputs[name].display_as if name in outputs else name for name in names}
        width = max((len(line(title)) for title in titles.values()), default=0)
        return [
            text
            for name in names
            for text in _titled(line(titles[name]), _value(data[name]), width)
        ]

    def end(self, screen: Screen, outcome: Outcome) -> None:
        """The summaries of the interface, unless there is nothing in them."""
        for summary in outcome.summaries:
            if summary.lines:
                screen.write(screen.paint(f"{line(summary.title)}:", "bold"))
                screen.write()
                for text in summary.lines:
                    screen.write(f"   {clean(text)}")
                screen.write()


def _how(reply: Reply) -> str:
    """How it ended, and why: `failed (exit_code 3)`."""
    reason = str(reply.reason or "")
    if reply.exit_code and reason == "exit_code":
        reason = f"exit status {reply.exit_code}"
    return f"{reply.state} ({line(reason)})" if reason else str(reply.state)


def _value(value: Any) -> list[str]:
    if isinstance(value, str):
        return clean(value).splitlines() or [""]
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) > LONG:
        flat = json.dumps(value, ensure_ascii=False, indent=2)
    return clean(flat).splitlines()


def _titled(title: str, texts: list[str], width: int) -> list[str]:
    if len(texts) == 1:
        return [f"   {title:>{width}}: {texts[0]}"]
    return [f"   {title:>{width}}:", *(f"      {text}" for text in texts)]


class Names:
    """The names of those who replied, one a line: for other programs."""

    def reply(self, reply: Reply, _: float) -> str:
        """The name."""
        return line(reply.sender)

    def end(self, screen: Screen, outcome: Outcome) -> None:
        """Nothing more."""


class Lines:
    """Lines of JSON, as the replies come."""

    def reply(self, reply: Reply, _: float) -> str:
        """The reply as one line."""
        return in_json(reply_document(reply), indent=None)

    def end(self, screen: Screen, outcome: Outcome) -> None:
        """Nothing more."""


class Whole:
    """One JSON document, at the end."""

    def reply(self, _: Reply, __: float) -> None:
        """Nothing yet."""

    def end(self, screen: Screen, outcome: Outcome) -> None:
        """The job, its replies, who did not reply, the summaries and the counts."""
        document = {
            "job": outcome.job["id"],
            "agent": outcome.job["agent"],
            "action": outcome.job["action"],
            "state": outcome.job["state"],
            "replies": [reply_document(reply) for reply in outcome.shown],
            "no_response": list(outcome.silent),
            "summaries": [
                {"function": found.function, "output": found.output, "value": found.value}
                for found in outcome.summaries
            ],
            "stats": {
                "nodes": outcome.job["nodes"],
                "replies": len(outcome.replies),
                "ok": outcome.good,
                "failed": outcome.bad,
                "no_response": len(outcome.silent),
                "seconds": round(outcome.seconds, 3),
            },
        }
        screen.write(in_json(document))


class Grid(Struct, frozen=True):
    """A table, at the end: a row for each node, a column for each output."""

    action: Action | None

    def reply(self, _: Reply, __: float) -> None:
        """Nothing yet."""

    def end(self, screen: Screen, outcome: Outcome) -> None:
        """The table."""
        from fleetjobs.cli.columns import Column, draw

        outputs = self.action.outputs if self.action else {}
        found = {name for reply in outcome.shown for name in reply.data}
        names = [name for name in outputs if name in found] + sorted(found - set(outputs))
        titles = [outputs[name].display_as if name in outputs else name for name in names]
        columns = [
            Column("node", "bold"),
            Column("state", style_of),
            Column("message", wraps=True),
            *(Column(line(title), wraps=True) for title in titles),
        ]
        rows = [
            [
                reply.sender,
                reply.state,
                "" if reply.statusmsg == "OK" else reply.statusmsg,
                *(_cell(reply.data.get(name)) for name in names),
            ]
            for reply in outcome.shown
        ]
        draw(screen, columns, rows)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def reply_document(reply: Reply) -> dict[str, Any]:
    """A reply for programs: SimpleRPC's fields first."""
    return {
        "sender": reply.sender,
        "statuscode": reply.statuscode,
        "statusmsg": reply.statusmsg,
        "data": reply.data,
        "state": reply.state,
        "reason": reply.reason,
        "exit_code": reply.exit_code,
        "started_at": reply.run.get("started_at"),
        "ended_at": reply.run.get("ended_at"),
    }
