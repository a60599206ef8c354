"""`fj status`: how the fleet is."""

from collections.abc import Mapping

import click

from fleetjobs.cli.commands import command
from fleetjobs.cli.documents import in_json, style_of
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.node_warnings import tell_warnings
from fleetjobs.cli.screen import Screen, line, stdout
from fleetjobs.cli.session import fleet
from fleetjobs.client.replies import Document


@command(epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def status(*, as_json: bool) -> int:
    """Show how the fleet is: its server, its nodes, and how many jobs stand where."""
    asked = fleet()
    found = asked.status()
    screen = stdout()
    if as_json:
        screen.write(in_json(found))
        return Exit.OK
    for title, text in _rows(screen, found, asked.transport.profile.url):
        screen.write(f"{screen.paint(f'{title:>9}', 'bold')}  {text}")
    tell_warnings(screen, found.get("warnings", ()))
    return Exit.OK


def _rows(screen: Screen, found: Document, url: str) -> list[tuple[str, str]]:
    nodes = found["nodes"]
    silent = f"{nodes['silent']} silent"
    silent = screen.paint(silent, "yellow") if nodes["silent"] else silent
    jobs = [
        f"{count} {screen.paint(line(state), style_of(state) or 'bold')}"
        for state, count in found["jobs"].items()
        if count
    ]
    where = f"{url} ({found['hostname']}, pid {found['pid']})"
    rows = [
        ("server", f"{line(found['state'])}  version {line(found['version'])}  {line(where)}"),
        ("nodes", f"{nodes['alive']} alive, {silent}"),
        ("versions", _versions(screen, nodes["versions"], found["version"])),
        ("jobs", ", ".join(jobs) or "none yet"),
    ]
    coordinator = found.get("coordinator")
    if coordinator:
        holder = line(coordinator["holder"] or "nobody leads")
        said = f": {line(coordinator['message'])}" if coordinator["message"] else ""
        rows.insert(1, ("leader", f"{line(coordinator['state'])}  {holder}{said}"))
    for paused in found.get("pauses", ()):
        said = f": {line(paused['message'])}" if paused["message"] else ""
        left = f"{paused['at_work']} at work, {paused['waiting']} kept"
        text = f"{line(paused['place'])} by {line(paused['by'])}{said} ({left})"
        rows.append(("paused", screen.paint(text, "yellow")))
    if found.get("attention"):
        wait = f"{found['attention']} jobs wait for a person to decide"
        rows.append(("attention", screen.paint(wait, "yellow")))
    return rows


def _versions(screen: Screen, nodes: Mapping[str, int], server: str) -> str:
    """`0.1.0 on 3`, and a warning if not all nodes have the server's."""
    text = ", ".join(f"{line(name)} on {count}" for name, count in sorted(nodes.items()))
    if not text or nodes.keys() == {server}:
        return text or "none heard of yet"
    return screen.paint(f"{text}: not all as the server, which has {line(server)}", "yellow")
