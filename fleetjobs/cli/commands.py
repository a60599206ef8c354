"""Commands: click's own, which run without rich-click; that is loaded to draw their help.

To load it takes a quick command a tenth of its time.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
_PANELS = "__panels__"  #: what a function bears until it is made a command, as click's parameters


class Panel(NamedTuple):
    """Some options of a command, or commands of a group, that its help shows together."""

    title: str
    names: Sequence[str]


class Command(click.Command):
    """A command whose help is drawn by rich-click."""

    def __init__(self, *given: Any, **more: Any) -> None:
        """As click's; its panels are those of the function that it calls."""
        super().__init__(*given, **more)
        self.panels: tuple[Panel, ...] = getattr(self.callback, _PANELS, ())

    def get_help(self, ctx: click.Context) -> str:
        """Its help, for the terminal that there is."""
        from fleetjobs.cli.help_page import draw

        ctx.color = True  # or click would take away the colours that were asked for
        return draw(self, ctx, self.panels)


class Group(Command, click.Group):
    """A group whose help is drawn by rich-click, like that of its commands."""

    command_class = Command


def command(name: str | None = None, **more: Any) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command; what it takes is click's."""
    return click.command(name, Command, **more)


def group(
    name: str | None = None, cls: type[Group] = Group, **more: Any
) -> Callable[[Callable[..., Any]], Group]:
    """Make a function a group; what it takes is click's."""
    return click.group(name, cls, **more)


def panel(title: str, names: Sequence[str]) -> Callable[[F], F]:
    """Let a command's help show these options together, or a group's these commands."""

    def add(function: F) -> F:
        setattr(function, _PANELS, (Panel(title, names), *getattr(function, _PANELS, ())))
        return function

    return add
