"""Lazy groups: a command's module is loaded when the command is used, not to list it."""

from importlib import import_module
from typing import Any

import click

from fleetjobs.cli.commands import Group


class LazyGroup(Group):
    """A group that knows its commands by name, place and one line."""

    def __init__(
        self,
        *given: Any,
        places: dict[str, tuple[str, str]] | None = None,  # name -> (module:attribute, summary)
        **more: Any,
    ) -> None:
        """Nothing of the places is loaded yet."""
        super().__init__(*given, **more)
        self._places = places or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order they were given."""
        return [*super().list_commands(ctx), *self._places]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command's outside: enough to be listed and completed."""
        if cmd_name in self._places:
            return click.Command(cmd_name, short_help=self._places[cmd_name][1])
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command itself, loaded."""
        if args and args[0] in self._places:
            return args[0], self.load(args[0]), args[1:]
        return super().resolve_command(ctx, args)

    def load(self, name: str) -> click.Command:
        """The command of that name."""
        if name not in self._places:
            return self.commands[name]
        module, _, attribute = self._places[name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command
