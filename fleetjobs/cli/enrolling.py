"""`fj node enroll` and `fj node remove`: who belongs to the fleet."""

import click

from fleetjobs.cli.commands import command
from fleetjobs.cli.complete import node_names
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.options import json_option
from fleetjobs.cli.screen import Screen, line, stdout
from fleetjobs.cli.session import fleet, program
from fleetjobs.client.replies import Document

ENROLL = """\
Let a node into the fleet: what that key signs is believed to come from it.

Its key is made on the machine itself, which never gives the private half away:
`fj node key --config node.toml` there prints the public half.

[bold]Examples[/]

\b
  fj node enroll web1 --verify-key mRzH…Q
"""

REMOVE = """\
Take nodes off the fleet: nothing they sign is believed any more.

What they had to do and did not has failed from then on, in writing; what they did stays on record.
A machine that lives on is told to let go of its runs when it comes for its messages.

[bold]Examples[/]

\b
  fj node remove web1
  fj node remove web1 web2 --force      though they live
"""


@command(help=ENROLL, epilog=EPILOG)
@click.argument("node", metavar="NODE")
@click.option(
    "--verify-key", required=True, metavar="TEXT", help="Its public key, as `fj node key` prints."
)
@json_option
def enroll(node: str, *, verify_key: str, as_json: bool) -> int:
    """Let a node into the fleet."""
    found = fleet().tell("nodes", wish={"identity": node, "verify_key": verify_key.strip()})
    screen = stdout()
    if as_json:
        screen.write(in_json(found))
    else:
        _tell_what_it_needs(screen, found)
    return Exit.OK


def _tell_what_it_needs(screen: Screen, node: Document) -> None:
    name = line(node["identity"])
    screen.write(f"{name} is enrolled in {line(node['org'])}. On it there have to be:")
    screen.write()
    for file, about in (
        ("node.toml", f'identity = "{name}", and broker, state, key, trust, policy'),
        ("its key", "where node.toml says: the private half of what was given here"),
        ("trust/", "coordinator.pub and server.pub, and account:NAME.pub of whoever may ask"),
        ("policy.toml", "what the node allows; it denies all else"),
    ):
        screen.write(f"   {file:<11}  {about}")
    screen.write()
    screen.write(f"Then start `{program()} node --config node.toml` there;")
    screen.write(f"`{program()} node show {name}` says when it was heard of.")


@command(help=REMOVE, epilog=EPILOG)
@click.argument("nodes", metavar="NODE...", nargs=-1, required=True, shell_complete=node_names)
@click.option("--force", is_flag=True, help="Also if it lives.")
@json_option
def remove(nodes: tuple[str, ...], *, force: bool, as_json: bool) -> int:
    """Take nodes off the fleet."""
    asked, screen = fleet(), stdout()
    gone = [asked.remove_node(name, force=force) for name in nodes]
    if as_json:
        screen.write(in_json({"items": gone}))
        return Exit.OK
    for found in gone:
        left = found["given_up"]
        runs = f"; {left} of its runs had not ended and failed" if left else ""
        screen.write(f"{line(found['identity'])} is taken off{runs}.")
    return Exit.OK
