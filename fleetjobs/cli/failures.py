"""Failures: what is said when a command cannot be done: what was wrong, and what to do."""

import re

import click
from click.exceptions import NoSuchCommand

from fleetjobs.cli.screen import Screen, clean
from fleetjobs.errors import Fault, Problem

_FLEET = "start a fleet on this machine with `{fj} up`"
_SERVER = "or name a server: --config FILE, or FLEETJOBS_URL and FLEETJOBS_TOKEN"

#: by an error's code: what to do about it
HINTS = {
    "server_away": _FLEET + ", " + _SERVER,
    "database_away": "the server works, its database does not; ask again in a moment",
    "broker_away": "ask again in a moment",
    "unauthenticated": "`{fj} login` gets a token for a password; `{fj} token create`, or "
    "`{fj} server token` on the server, makes one; it belongs into client.toml",
    "unauthentic": "the server checks by the key it knows for the account; is it the profile's?",
    "unknown_agent": "`{fj} doc` lists all agents",
    "unknown_action": "`{fj} doc AGENT` lists its actions",
    "missing_input": "inputs are given as name=value; `{fj} doc AGENT ACTION` tells of each",
    "invalid_input": "`{fj} doc AGENT ACTION` tells what each input takes",
    "invalid_setting": "a client.toml has url and token; see `{fj} --help` for where it is found",
    "no_nodes": "`{fj} find` with the same options shows what they pick, `{fj} node list` all",
    "not_discovered": "docs/external-agents.md tells what such a program is asked and has to reply",
    "invalid_target": "such as: -F os.name=Debian -F 'cpus>=4' -C web -I web1 -I /^db/ "
    "-S 'web and not db'",
    "queue_full": "ask again when some have ended; `{fj} job list` shows them, `{fj} job cancel` "
    "ends what is not needed",
}


def complain(screen: Screen, name: str, error: Exception) -> None:
    """Say what is wrong: one line, what to do below it; never a traceback."""
    if isinstance(error, click.UsageError):
        text, hint = _usage(name, error)
    elif isinstance(error, click.ClickException):
        text, hint = error.format_message(), None
    elif isinstance(error, Fault):
        text, hint = str(error), hint_of(error)
    elif isinstance(error, OSError):
        text, hint = str(error), None
    else:
        text = f"this should not happen: {type(error).__name__}: {error}"
        hint = "with FLEETJOBS_TRACEBACK=1 it tells where; please report that"
    head, *more = clean(text).splitlines() or [type(error).__name__]
    screen.write(f"{screen.paint(f'{name}:', 'red')} {head}")
    for line in more:
        screen.write(f"    {line}")
    if hint:
        for line in hint.format(fj=name).splitlines():
            screen.write(f"    {screen.paint(line, 'dim')}")
    screen.flush()


def code_of(fault: Fault) -> str:
    """The error's code: of a refusal by the server, the one the server gave."""
    if isinstance(fault, Problem):
        return str(fault.document.get("code", fault.code))
    return fault.code


def hint_of(fault: Fault) -> str | None:
    """What to do about it, if we know; a note on the error itself knows best."""
    if notes := getattr(fault, "__notes__", ()):
        return "\n".join(notes)
    code = code_of(fault)
    if code == "invalid_setting" and "no server is known" in str(fault):
        return HINTS["server_away"]
    if code == "invalid_setting" and isinstance(fault, Problem):
        return None  # what the server found wrong is no setting of ours
    if code == "not_found":
        found = re.search(_LISTED, str(fault))
        return f"`{{fj}} {found[1]} list` shows what there is" if found else None
    return HINTS.get(code)


#: what an answer says is not there, where a list would show what is
_LISTED = r"\bno (job|node|schedule|template|window|limit|org|account|grant|token|wish)\b"


def _usage(name: str, error: click.UsageError) -> tuple[str, str]:
    text = error.format_message()
    text = text[:1].lower() + text[1:].replace(". (", " (").rstrip(".")
    if isinstance(error, NoSuchCommand) and error.ctx is not None:
        from fleetjobs.client.fleet import nearest  # late: HTTP comes with it

        command = error.ctx.command
        known = command.list_commands(error.ctx) if isinstance(command, click.Group) else []
        text = f"there is no command {error.command_name!r}{nearest(error.command_name, known)}"
    context = error.ctx
    path = context.command_path if context else name
    hint = f"`{path} --help` tells more"
    if context:
        hint = f"usage: {path} {' '.join(context.command.collect_usage_pieces(context))}\n{hint}"
    return text, hint.replace("{", "{{").replace("}", "}}")
