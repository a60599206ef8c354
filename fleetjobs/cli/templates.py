"""`fj template`: plans under a name, with parameters; made, changed, looked at."""

import difflib
from pathlib import Path
from typing import Any

import click

from fleetjobs.cli.columns import Column, draw
from fleetjobs.cli.commands import group
from fleetjobs.cli.complete import template_labels
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.lazy import LazyGroup
from fleetjobs.cli.listing import show_list
from fleetjobs.cli.options import json_option
from fleetjobs.cli.screen import clean, line, read_text, stderr, stdout
from fleetjobs.cli.session import fleet, program
from fleetjobs.cli.words import local
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.replies import Document
from fleetjobs.client.templates import Template

_HERE = "fleetjobs.cli."
MORE = {  #: what is not needed to look at templates is loaded when it is used
    "run": ("template_run:run_", "Run a template once, now or later"),
    "validate": ("template_run:validate", "Try a template or a file out; nothing runs"),
    "apply": ("template_files:apply_", "Take all templates of a directory, as it is in git"),
    "export": ("template_files:export", "Write templates to files, or as one document"),
    "import": ("template_files:import_", "Take templates that were exported"),
}
LABEL = click.argument("label", shell_complete=template_labels)
FILE = click.argument("file", metavar="FILE", type=click.Path(allow_dash=True, dir_okay=False))
FLEET = click.option(
    "--fleet", "is_fleet", is_flag=True, help="For every org; takes who rules the fleet."
)


@group(
    epilog=EPILOG,
    cls=LazyGroup,
    places={name: (_HERE + place, summary) for name, (place, summary) in MORE.items()},
)
def template() -> None:
    """Keep plans, and single actions, under a name; run them with values for their parameters.

    A FILE is what `fj plan run` takes. A version never changes; an edit makes the next one.
    """


@template.command(epilog=EPILOG)
@FILE
@click.option("--label", metavar="LABEL", help="What it is called; else as the file says.")
@FLEET
@json_option
def create(file: str, *, label: str | None, is_fleet: bool, as_json: bool) -> int:
    """Keep the plan, or the action, in a file as a template.

    [bold]Examples[/]

    fj template create restart.yaml
    """
    wish: dict[str, Any] = {"text": read_text(file), "level": "fleet" if is_fleet else "org"}
    stem = Path(file).stem if file != "-" else None
    named = label or _name_in(wish["text"], file) or stem
    if named:
        wish["label"] = named
    found = fleet().tell("templates", wish=wish)
    return tell_template(found, as_json=as_json)


def _name_in(text: str, file: str) -> str | None:
    from fleetjobs.plans.reading import read_plan

    name = read_plan(text, "standard input" if file == "-" else Path(file).name).name
    return None if name == "plan" else name


@template.command("list", epilog=EPILOG)
@click.option("--all", "ended", is_flag=True, help="Deleted ones, too.")
@json_option
def list_(*, ended: bool, as_json: bool) -> int:
    """List the templates of your org, and those of the fleet."""
    query = [("ended", "true")] if ended else []
    items = sorted(fleet().pages("templates", query=query), key=lambda item: str(item["label"]))
    columns = [
        Column("label", "bold"),
        Column("version", right=True),
        Column("of"),
        Column("about", wraps=True),
        Column("changed"),
    ]
    return show_list(
        {"items": items},
        columns,
        lambda one: [one["label"], one["version"], _whose(one), one["description"], _changed(one)],
        as_json=as_json,
        if_none=f"There are no templates; `{program()} template create FILE` makes one.",
    )


def _whose(item: Document) -> str:
    return "the fleet" if item["org"] is None else str(item["org"])


def _changed(item: Document) -> str | None:
    if item["ended_at"] is not None:
        return "deleted"
    return "builtin" if item["builtin"] and item["version"] == 1 else local(item["changed_at"])


@template.command(epilog=EPILOG)
@LABEL
@click.option("--version", type=click.IntRange(1), metavar="N", help="That one; the newest.")
@click.option("--text", "only_text", is_flag=True, help="Nothing but its text.")
@json_option
def show(label: str, *, version: int | None, only_text: bool, as_json: bool) -> int:
    """Show a template: what it takes, and what it says."""
    found = Template.find(fleet(), label, version).document
    if only_text:
        stdout().write(clean(found["text"]).rstrip("\n"))
        return Exit.OK
    return tell_template(found, as_json=as_json, with_text=True)


def tell_template(found: Document, *, as_json: bool, with_text: bool = False) -> int:
    """A template that was made, changed or asked for."""
    screen = stdout()
    if as_json:
        screen.write(in_json(found))
        return Exit.OK
    screen.write(screen.paint(line(found["label"]), "bold") + f"  {found['id']}")
    for name, value in (
        ("of", _whose(found) + (", builtin" if found["builtin"] else "")),
        ("is", "a plan" if found["is_plan"] else "an action"),
        ("version", f"{found['version']}, {local(found['written_at'])} by {found['author']}"),
        ("about", found["description"]),
        ("deleted", local(found["ended_at"])),
    ):
        if value:
            screen.write(f"  {name:<8} {line(value)}")
    if found["parameters"]:
        screen.write()
        columns = [Column("parameter", "bold"), Column("takes"), Column("about", wraps=True)]
        draw(screen, columns, [_parameter(one) for one in found["parameters"]])
    if with_text:
        screen.write()
        screen.write(clean(found["text"]).rstrip("\n"))
    return Exit.OK


def _parameter(one: Document) -> list[str | None]:
    kind = "|".join(one["choices"]) if one["choices"] else str(one["type"])
    notes = [kind, *(["secret"] if one["secret"] else [])]
    if one["default"] is not None:
        notes.append(f"default {in_json(one['default'])}")
    elif not one["required"]:
        notes.append("may be left out")
    return [one["name"], ", ".join(notes), one["description"]]


@template.command(epilog=EPILOG)
@LABEL
@click.argument("file", metavar="[FILE]", required=False)
@json_option
def edit(label: str, file: str | None, *, as_json: bool) -> int:
    """Give a template its next version: from a file, or from your editor.

    Jobs and schedules that were made with an earlier version keep it.
    """
    asked = fleet()
    found = asked.transport.get("templates", label)
    text = read_text(file) if file else click.edit(found["text"], extension=".yaml")
    if text is None or text == found["text"]:
        stderr().write("Nothing was changed.")
        return Exit.OK
    seen = {"If-Match": f'"{found["version"]}"'}
    body = in_json({"text": text}).encode()
    changed = asked.transport.send("PUT", "templates", found["id"], body=body, headers=seen)
    return tell_template(changed, as_json=as_json)


@template.command(epilog=EPILOG)
@LABEL
@json_option
def delete(label: str, *, as_json: bool) -> int:
    """Let nobody run it any more; its versions and its jobs stay, its label is free."""
    found = fleet().transport.send("DELETE", "templates", label, body=b"")
    stdout().write(in_json(found) if as_json else f"Deleted: {line(found['label'])}")
    return Exit.OK


@template.command(epilog=EPILOG)
@LABEL
@json_option
def versions(label: str, *, as_json: bool) -> int:
    """List the versions of a template."""
    items = Template.find(fleet(), label).versions()
    columns = [Column("version", right=True), Column("made"), Column("by"), Column("lines")]
    return show_list(
        {"items": items},
        columns,
        lambda one: [
            *(one["number"], local(one["created_at"]), one["author"], one["text"].count("\n"))
        ],
        as_json=as_json,
    )


@template.command(epilog=EPILOG)
@LABEL
@click.argument("first", type=click.IntRange(1), required=False, metavar="[VERSION]")
@click.argument("second", type=click.IntRange(1), required=False, metavar="[VERSION]")
def diff(label: str, first: int | None, second: int | None) -> int:
    """Show what differs between two versions; by default the last two."""
    asked = fleet()
    new = Template.find(asked, label, second)
    old = Template.find(asked, label, first or max(1, new.version - 1))
    show_diff(
        difflib.unified_diff(
            old.document["text"].splitlines(),
            new.document["text"].splitlines(),
            f"{label} version {old.version}",
            f"{label} version {new.version}",
            lineterm="",
        )
    )
    return Exit.OK


def show_diff(lines: Any) -> None:
    """A unified diff, coloured on a terminal."""
    styles = {"+": "green", "-": "red", "@": "cyan"}
    screen = stdout()
    for text in lines:
        style = styles.get(text[:1])
        screen.write(screen.paint(clean(text), style) if style else clean(text))


def all_templates(asked: Fleet) -> list[Document]:
    """Every template that the org can use, with its text, by label."""
    items = sorted(asked.pages("templates"), key=lambda item: str(item["label"]))
    return [asked.transport.get("templates", item["id"]) for item in items]
