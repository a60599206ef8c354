"""`fj ping`: which nodes answer, and how fast."""

from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import Any

import click

from fleetjobs.cli.commands import command, panel
from fleetjobs.cli.exits import EPILOG
from fleetjobs.cli.following import FORMAT_OPTIONS, follow, format_options, take_manner
from fleetjobs.cli.options import is_named, take_target, target_options
from fleetjobs.cli.printing import Outcome
from fleetjobs.cli.rpc import call, find_action
from fleetjobs.cli.screen import Screen, line, stdout
from fleetjobs.cli.session import fleet
from fleetjobs.cli.words import Duration
from fleetjobs.client.replies import Reply

HELP = """\
See which nodes answer, and how fast.

Calls `rpcutil.ping` on them: the time is that of the whole way, through server, broker and node \
and back.

[bold]Examples[/]

\b
  fj ping
  fj ping -F os.name=Debian --timeout 2s
"""


@dataclass(slots=True)
class Times:
    """A line for each node, and what they come to."""

    screen: Screen
    times: list[float] = field(default_factory=list)

    def reply(self, reply: Reply, seconds: float) -> str:
        """The node, and how long its reply took."""
        self.times.append(seconds)
        took = f"time={seconds * 1000:.2f} ms"
        if not reply.is_ok:
            took += "  " + self.screen.paint(f"{reply.state}: {line(reply.statusmsg)}", "red")
        return f"{line(reply.sender):<40} {took}"

    def end(self, screen: Screen, _: Outcome) -> None:
        """How many replied, the slowest, the fastest and the average."""
        if not self.times:
            return
        shown = [f"{value * 1000:.2f}" for value in (max(self.times), min(self.times))]
        mean = sum(self.times) / len(self.times) * 1000
        screen.write()
        screen.write("---- ping statistics ----")
        screen.write(
            f"{len(self.times)} replies max: {shown[0]} min: {shown[1]} avg: {mean:.2f} ms"
        )


@command(help=HELP, epilog=EPILOG)
@target_options
@format_options
@click.option(
    "-t",
    "--timeout",
    type=Duration(),
    default="5s",
    metavar="DURATION",
    help="Wait so long for replies; by default 5s.",
)
@panel("What to show", [*FORMAT_OPTIONS, "--timeout"])
def ping(timeout: timedelta, **given: Any) -> int:
    """See which nodes answer."""
    began = monotonic()
    target, manner, asked = take_target(given), take_manner(given), fleet()
    action = find_action(asked, "rpcutil", "ping")

    return follow(
        call(asked, action, (), target, followed=True).replies(timeout or None, skip_silent=True),
        action=action,
        manner=manner,
        printer=Times(stdout()) if manner.format is None else None,
        named=is_named(target),
        began=began,
    )
