"""Write docs/reference-cli.md: every command with its options, from the commands themselves.

Run it after a change to the command line or to the options of a program:

    python docs/make_reference.py
"""

import argparse
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click

from fleetjobs.cli.exits import EPILOG
from fleetjobs.cli.lazy import LazyGroup
from fleetjobs.cli.main import PANELS, cli

PAGE = Path(__file__).parent / "reference-cli.md"
PROGRAMS = ("up", "server", "coordinator", "node", "flower")
MARKUP = re.compile(r"\[/?[a-z ]*\]")
HEAD = f"""\
# Command line

Written by `python docs/make_reference.py` from the commands; do not edit.

`fleetjobs` and `fj` are the same command.
Every command that shows something has `--json`.

{MARKUP.sub("", EPILOG)}
"""


def make_page() -> str:
    """The page as Markdown."""
    context = click.Context(cli, info_name="fj")
    lines = [HEAD]
    for panel, names in PANELS.items():
        lines.append(f"## {panel}\n")
        for name in names:
            lines += _command(_load(cli, name, context), name, context)
    return "\n".join(lines).rstrip() + "\n"


def _command(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    path = context.command_path.removeprefix("fj ")
    if path in PROGRAMS:
        yield from _program(path)
    if not isinstance(command, click.Group):
        if path not in PROGRAMS:
            yield from _described(command, context)
        return
    for child in command.list_commands(context):
        yield from _command(_load(command, child, context), child, context)


def _load(group: click.Group, name: str, context: click.Context) -> click.Command:
    """The command itself: a lazy group has only its name and one line so far."""
    if isinstance(group, LazyGroup):
        return group.load(name)
    found = group.get_command(context, name)
    if found is None:
        raise LookupError(name)
    return found


def _described(command: click.Command, context: click.Context) -> Iterator[str]:
    words = " ".join(command.collect_usage_pieces(context))
    yield f"### fj {context.command_path.removeprefix('fj ')}\n"
    yield f"```\n{context.command_path} {words}\n```\n"
    yield _plain(command.help or "") + "\n"
    records = [
        parameter.get_help_record(context)
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
    ]
    yield from _table((record[0], _plain(record[1])) for record in records if record)


def _program(name: str) -> Iterator[str]:
    """A program has its own parser; the command only passes on what it is given."""
    place = "admin" if name == "server" else name
    module = import_module(f"fleetjobs.programs.{place}")
    yield f"### fj {name}\n"
    if not hasattr(module, "make_parser"):
        yield "Takes `--config FILE`, its settings as TOML; see its `--help`.\n"
        return
    parser: argparse.ArgumentParser = module.make_parser()
    yield f"{parser.description}\n"
    yield from _table(
        (", ".join(action.option_strings), (action.help or "") % {"default": action.default})
        for action in parser._actions  # noqa: SLF001  argparse has no other door to them
        if action.option_strings and "--help" not in action.option_strings
    )


def _table(rows: Iterator[tuple[str, str]]) -> Iterator[str]:
    escaped = [(option.replace("|", r"\|"), about.replace("|", r"\|")) for option, about in rows]
    made = [f"| `{option}` | {about} |" for option, about in escaped]
    if made:
        yield "\n".join(["| option | |", "|---|---|", *made, ""])


def _plain(text: str) -> str:
    """Help without the marks that are for a terminal; examples as blocks."""
    paragraphs = []
    for paragraph in MARKUP.sub("", text).strip().split("\n\n"):
        if paragraph.lstrip().startswith("\b"):
            paragraphs.append("```\n" + paragraph.replace("\b\n", "").rstrip() + "\n```")
        else:
            paragraphs.append(" ".join(paragraph.split()))
    return "\n\n".join(paragraphs)


if __name__ == "__main__":
    PAGE.write_text(make_page())
