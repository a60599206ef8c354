"""Following: show a job's replies as they come, and what they come to at the end."""

from collections import Counter
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, TypeVar

import click
from msgspec import Struct

from fleetjobs.aggregates import summarize
from fleetjobs.cli.bar import Bar
from fleetjobs.cli.commands import panel
from fleetjobs.cli.exits import Exit, of_replies
from fleetjobs.cli.printing import Grid, Lines, Names, Outcome, Printer, Texts, Whole
from fleetjobs.cli.screen import Screen, cells, line, stderr, stdout
from fleetjobs.cli.session import program
from fleetjobs.cli.words import span
from fleetjobs.client.following import Replies
from fleetjobs.client.replies import Reply
from fleetjobs.interfaces import Action, Display
from fleetjobs.states import State

C = TypeVar("C", bound=Callable[..., Any])

BATCH = 500  #: replies that are printed in one go

_FORMATS = (
    click.option("--json", "format_", flag_value="json", help="Print one JSON document."),
    click.option("--jsonl", "format_", flag_value="jsonl", help="Print each reply as a JSON line."),
    click.option("--table", "format_", flag_value="table", help="Print a table at the end."),
    click.option("--senders", "format_", flag_value="senders", help="Print only the names."),
    click.option(
        "--display",
        type=click.Choice(["ok", "failed", "all"]),
        help="Which replies to show; by default what the action says.",
    ),
    click.option("--sort", is_flag=True, help="Show replies by node, at the end."),
    click.option("-q", "--quiet", is_flag=True, help="No progress bar and no closing line."),
)
FORMAT_OPTIONS = ["--json", "--jsonl", "--table", "--senders", "--display", "--sort", "--quiet"]


def format_options(command: C) -> C:
    """Let a command choose how replies are shown; read it by `take_manner`."""
    for option in reversed(_FORMATS):
        command = option(command)
    return panel("What to show", FORMAT_OPTIONS)(command)


def take_manner(given: dict[str, Any]) -> "Manner":
    """How to show replies, of a command's parameters, taken out of them."""
    return Manner(
        format=given.pop("format_"),
        display=given.pop("display"),
        sort=given.pop("sort"),
        quiet=given.pop("quiet"),
    )


class Manner(Struct, frozen=True, kw_only=True):
    """How replies are to be shown."""

    format: str | None = None  # json jsonl table senders; None: text
    display: str | None = None  # ok failed all; None: what the action says
    sort: bool = False
    quiet: bool = False

    def shows(self, reply: Reply, action: Action | None) -> bool:
        """Whether this reply is to be shown."""
        display = self.display
        if display is None and self.format is None and action is not None:
            display = action.display
        if display == Display.OK:
            return reply.is_ok
        return not reply.is_ok if display == Display.FAILED else True

    def printer(self, screen: Screen, action: Action | None) -> Printer:
        """What prints them so."""
        match self.format:
            case "json":
                return Whole()
            case "jsonl":
                return Lines()
            case "table":
                return Grid(action)
            case "senders":
                return Names()
        return Texts(screen, action)


def follow(
    replies: Replies,
    *,
    action: Action | None,
    manner: Manner,
    printer: Printer | None = None,
    named: bool = False,
    began: float | None = None,
) -> Exit:
    """Show the replies until all have come or the time is over; the exit code of the call.

    `began`: when the call began, by `monotonic`. Ctrl-C says how to go on and ends with 130.
    """
    screen = stdout()
    began = monotonic() if began is None else began
    printer = printer or manner.printer(screen, action)
    bar = Bar(screen, replies.job.nodes, is_wanted=not manner.quiet)
    came: list[Reply] = []
    try:
        _show(replies, came, bar, _Show(printer, manner, action, began))
    except KeyboardInterrupt:
        bar.close()
        replies.close()
        say_it_goes_on(replies.job.id, len(came), replies.job.nodes)
        return Exit.INTERRUPTED
    finally:
        bar.close()
        replies.close()
    outcome = _outcome(replies, came, manner, action, monotonic() - began)
    if manner.sort:
        _print_sorted(screen, printer, outcome)
    printer.end(screen, outcome)
    screen.flush()
    if manner.format != "json":
        conclude(outcome, manner, printer)
    return of_replies(good=outcome.good, bad=outcome.bad, silent=len(outcome.silent), named=named)


def _outcome(
    replies: Replies, came: list[Reply], manner: Manner, action: Action | None, seconds: float
) -> Outcome:
    if manner.sort:
        came.sort(key=lambda reply: reply.sender)
    good = [reply.data for reply in came if reply.is_ok]
    return Outcome(
        job=replies.job.document,
        replies=came,
        shown=[reply for reply in came if manner.shows(reply, action)],
        silent=replies.silent,
        summaries=summarize(action, good) if action else (),
        seconds=seconds,
    )


def _print_sorted(screen: Screen, printer: Printer, outcome: Outcome) -> None:
    for reply in outcome.shown:
        text = printer.reply(reply, outcome.seconds)
        if text is not None:
            screen.write(text)


class _Show(Struct, frozen=True):
    printer: Printer
    manner: Manner
    action: Action | None
    began: float

    def text(self, reply: Reply) -> str | None:
        if self.manner.sort or not self.manner.shows(reply, self.action):
            return None
        return self.printer.reply(reply, monotonic() - self.began)


def _show(replies: Replies, came: list[Reply], bar: Bar, show: _Show) -> None:
    """Pass replies on as they come, as many at a time as there are."""
    good = 0
    while not replies.is_over:
        reply = replies.next(bar.patience)
        texts: list[str] = []
        fresh = 0
        while reply is not None:
            came.append(reply)
            good += reply.is_ok
            text = show.text(reply)
            if text is not None:
                texts.append(text)
            fresh += 1
            reply = replies.next(0) if fresh < BATCH else None
        if texts:
            bar.print("\n".join(texts))
        bar.advance(good, len(came) - good, replies.percent)


def conclude(outcome: Outcome, manner: Manner, printer: Printer) -> None:
    """Say who did not reply, and how it went: on stdout after text, else beside the data."""
    screen = stdout() if manner.format is None else stderr()
    if not isinstance(printer, Texts) and not manner.quiet:
        screen.write()  # texts end with an empty line of their own
    if outcome.silent:
        screen.write(screen.paint("No response from:", "yellow"))
        screen.write()
        for row in in_rows(outcome.silent, screen.width - 3):
            screen.write(f"   {row}")
        screen.write()
    if not manner.quiet:
        screen.write(_closing(screen, outcome))
        if outcome.silent:
            screen.write(f"Job {outcome.job['id']} waits for them: `{program()} job show last`")
    screen.flush()


def _closing(screen: Screen, outcome: Outcome) -> str:
    counts = [
        screen.paint(f"{outcome.good} ok", "green") if outcome.good else "",
        *(screen.paint(f"{count} {name}", "red") for name, count in _bad(outcome.replies)),
        screen.paint(f"{len(outcome.silent)} without reply", "yellow") if outcome.silent else "",
    ]
    nodes = outcome.job["nodes"]
    told = ", ".join(count for count in counts if count) or "no reply"
    return f"{nodes} {'node' if nodes == 1 else 'nodes'}: {told}, in {_span(outcome.seconds)}"


def _bad(replies: Sequence[Reply]) -> list[tuple[str, int]]:
    """How many failed, and how many were skipped, cancelled or have expired."""
    bad = [str(reply.state) for reply in replies if not reply.is_ok]
    others = {State.SKIPPED, State.CANCELLED, State.EXPIRED}
    names = Counter(name if name in others else "failed" for name in bad)
    return sorted(names.items(), key=lambda item: item[0] != "failed")


def _span(seconds: float) -> str:
    from datetime import timedelta

    return span(timedelta(seconds=round(seconds, 3)))


def in_rows(names: Sequence[str], width: int) -> list[str]:
    """Names in as many columns as fit."""
    texts = [line(name) for name in names]
    wide = max(cells(text) for text in texts) + 2
    each = max(width // wide, 1)
    return [
        "".join(text.ljust(wide) for text in texts[at : at + each]).rstrip()
        for at in range(0, len(texts), each)
    ]


def say_it_goes_on(job: str, came: int, nodes: int) -> None:
    """What a person who pressed ctrl-C should know."""
    screen = stderr()
    screen.write()
    screen.write(f"Interrupted. {came} of {nodes} nodes have replied; the job goes on:")
    screen.write(f"   {program()} job show {job}")
    screen.write(f"   {program()} job wait {job}")
    screen.flush()
