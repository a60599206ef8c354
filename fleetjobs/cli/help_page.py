"""Help page: what a command tells of itself, drawn by rich-click."""

from collections.abc import Sequence
from typing import Any

import click
from rich_click import (
    RichCommand,
    RichCommandPanel,
    RichContext,
    RichGroup,
    RichHelpConfiguration,
    RichOptionPanel,
)

from fleetjobs.cli.commands import Panel

LOOK = RichHelpConfiguration(
    text_markup="rich",
    padding_helptext_first_line=(0, 0, 1, 0),
    max_width=100,
    show_arguments=False,
    commands_before_options=True,
    style_epilog_text="",
    style_helptext="",
    options_table_column_types=["required", "opt_short", "opt_long", "metavar", "help"],
)


class _Group(RichGroup):
    def list_commands(self, _: click.Context) -> list[str]:
        """In the order that the group itself has."""
        return list(self.commands)


def draw(command: click.Command, context: click.Context, panels: Sequence[Panel]) -> str:
    """The page: drawn of a twin that rich-click knows how to draw."""
    twin = _twin(command, context, panels)
    seen = RichContext(
        twin,
        info_name=context.info_name,
        parent=context.parent,
        help_option_names=context.help_option_names,
        rich_help_config=LOOK,
    )
    return twin.get_help(seen)


def _twin(command: click.Command, context: click.Context, panels: Sequence[Panel]) -> RichCommand:
    what: dict[str, Any] = {
        "name": command.name,
        "params": command.params,
        "help": command.help,
        "epilog": command.epilog,
        "options_metavar": command.options_metavar,
        "add_help_option": command.add_help_option,
        "deprecated": command.deprecated,
    }
    if not isinstance(command, click.Group):
        return RichCommand(
            **what, panels=[RichOptionPanel(title, list(names)) for title, names in panels]
        )
    listed = {name: command.get_command(context, name) for name in command.list_commands(context)}
    return _Group(
        **what,
        subcommand_metavar=command.subcommand_metavar,
        commands={name: found for name, found in listed.items() if found is not None},
        panels=[RichCommandPanel(title, list(names)) for title, names in panels],
    )
