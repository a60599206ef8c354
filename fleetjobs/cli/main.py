"""The root of the command line, and its rim: whatever goes wrong ends in one clear line."""

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from click.exceptions import Exit as CommandEnd
from click.exceptions import NoArgsIsHelpError

from fleetjobs import __version__
from fleetjobs.cli.commands import group, panel
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.failures import complain
from fleetjobs.cli.lazy import LazyGroup
from fleetjobs.cli.screen import stderr, stdout
from fleetjobs.errors import Fault

_HERE = "fleetjobs.cli."
COMMANDS = {
    "rpc": ("rpc:rpc", "Call an action now and show the replies as they come"),
    "submit": ("rpc:submit", "Ask for an action and come back at once with the job's id"),
    "plan": ("plans:plan", "Run plans, legs that depend on one another; check them first"),
    "ping": ("ping:ping", "See which nodes answer, and how fast"),
    "find": ("discovery:find", "List the nodes that a target picks"),
    "facts": ("discovery:facts", "Report the values of a fact over the fleet"),
    "inventory": ("nodes:show", "Show what is known of a node"),
    "doc": ("doc:doc", "Tell what agents there are, and what their actions take"),
    "action": ("actions:action", "List everything that can be asked of the fleet"),
    "run-local": ("run_local:run_local", "Run an action on this machine, in the foreground"),
    "job": ("jobs:job", "List jobs, look at one, change its life, read its logs"),
    "template": ("templates:template", "Keep plans under a name; run them with values"),
    "schedule": ("schedules:schedule", "Have work done again and again, by a rule"),
    "notification": ("notifications:notification", "See what is told by mail and to webhooks"),
    "attention": ("attention:attention", "List what waits for a person to decide"),
    "node": ("nodes:node", "List nodes, look at one; without a command: run this machine's node"),
    "agent": ("agents:agent", "Write an agent: begin one, check it, try it; without a fleet"),
    "limit": ("limits:limit", "Say how many runs of an action may be at work at once"),
    "top": ("top:top", "Show what runs and what waits, as it changes"),
    "window": ("windows:window", "Say when what may begin, and when nothing may"),
    "pause": ("pauses:pause", "Begin nothing: in the whole fleet, an org, or on a node"),
    "resume": ("pauses:resume", "Begin again what has waited"),
    "drain": ("pauses:drain", "Begin nothing, and wait until what is at work has ended"),
    "status": ("status:status", "Show how the fleet is"),
    "login": ("login:login", "Log in by a password"),
    "logout": ("login:logout", "Have the token that is used revoked"),
    "account": ("accounts:account", "Look after who may ask"),
    "grant": ("grants:grant", "Narrow down what an account may do"),
    "token": ("tokens:token", "Make tokens, list them, revoke them"),
    "org": ("orgs:org", "Look after orgs"),
    "setting": ("orgs:setting", "See and set what holds for all orgs"),
    "audit": ("audit:audit", "See who changed what, and whether that record is whole"),
    "up": ("programs:up", "Start a whole fleet on this machine"),
    "server": ("programs:server", "Run the server, or set it up: init, account, token"),
    "coordinator": ("coordinator:coordinator", "Run the coordinator; pause, resume or check it"),
    "flower": ("programs:flower", "Run Flower, Celery's monitor, on the fleet's broker"),
    "clock": ("clock:clock", "Move the clock of a fleet that is being tested"),
    "export": ("programs:export", "Write everything the server knows, as one document"),
    "import": ("programs:import_", "Take such a document into an empty installation"),
    "completion": ("completion:completion", "Print what makes your shell complete commands"),
}
PANELS = {
    "Ask the fleet": (
        "rpc",
        "submit",
        "plan",
        "ping",
        "find",
        "facts",
        "inventory",
        "doc",
        "action",
        "run-local",
    ),
    "Look after it": (
        "job",
        "template",
        "schedule",
        "attention",
        "notification",
        "node",
        "agent",
        "limit",
        "top",
        "window",
        "pause",
        "resume",
        "drain",
        "status",
    ),
    "Who may ask": ("login", "logout", "account", "grant", "token", "org", "setting", "audit"),
    "Programs": (
        "up",
        "server",
        "coordinator",
        "flower",
        "clock",
        "export",
        "import",
        "completion",
    ),
}


ABOUT = """\
Run actions on a whole fleet of machines, and lose none.

[bold]First steps[/]

\b
  fj up                                   start a fleet on this machine
  fj ping                                 see who answers
  fj rpc rpcutil get_fact fact=os.name    ask every node
  fj rpc package update name=openssl -C web -F os.name=Debian
  fj submit service restart name=nginx -I /^web/
  fj submit service restart name=nginx -C web --at 'tomorrow 4am'
  fj job show last                        see what came of it
  fj job cancel last                      call it off
  fj plan run build.yaml --param name=web1 -I hv1

`fj COMMAND --help` tells more of each; `fj doc` of what nodes can do.
"""


@group(
    help=ABOUT,
    cls=LazyGroup,
    places={name: (_HERE + place, summary) for name, (place, summary) in COMMANDS.items()},
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
    no_args_is_help=True,
)
@panel("Ask the fleet", PANELS["Ask the fleet"])
@panel("Look after it", PANELS["Look after it"])
@panel("Who may ask", PANELS["Who may ask"])
@panel("Programs", PANELS["Programs"])
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where server and token are written. Else: FLEETJOBS_CONFIG; FLEETJOBS_URL and "
    "FLEETJOBS_TOKEN; ~/.config/fleetjobs/client.toml; the fleet that `fj up` started; "
    "/etc/fleetjobs/client.toml.",
)
@click.option(
    "--as-org",
    metavar="ORG",
    envvar="FLEETJOBS_AS_ORG",
    help="Of a fleet admin: the org in which the command acts; @fleet: none. It is audited.",
)
@click.version_option(__version__, "-V", "--version", message="fleetjobs %(version)s")
def cli(config: Path | None, as_org: str | None) -> None:  # read by session
    """The root."""


def main(args: Sequence[str] | None = None) -> None:
    """Run a command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what a terminal cannot show must not stop us
            stream.reconfigure(errors="backslashreplace")
    name = Path(sys.argv[0]).name
    code = run(sys.argv[1:] if args is None else args, name if name == "fleetjobs" else "fj")
    gc.freeze()  # what ends with the process need not be searched for garbage first
    sys.exit(code)


def run(args: Sequence[str], name: str = "fj") -> int:
    """Run a command line; its exit code."""
    try:
        code = _invoke(list(args), name)
        sys.stdout.flush()
    except NoArgsIsHelpError as help_:
        stdout().write(help_.format_message())
        return Exit.OK
    except (click.ClickException, Fault) as error:
        complain(stderr(), name, error)
        return Exit.ERROR
    except (click.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Python would complain once more when it flushes what is left at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.PIPE_CLOSED
    except Exception as error:
        if os.environ.get("FLEETJOBS_TRACEBACK"):
            raise
        complain(stderr(), name, error)
        return Exit.ERROR
    return code


def _invoke(args: list[str], name: str) -> int:
    """Run the command, or complete one for the shell that asks in the environment."""
    variable = f"_{name.upper()}_COMPLETE"
    if variable in os.environ:
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, name, variable, os.environ[variable])
    try:
        with cli.make_context(name, args) as context:
            code = cli.invoke(context)
    except CommandEnd as end:
        return end.exit_code
    return code if isinstance(code, int) else Exit.OK
