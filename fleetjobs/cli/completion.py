"""`fj completion`: what makes a shell complete commands, agents, actions and nodes."""

import click
from click.shell_completion import get_completion_class

from fleetjobs.cli.commands import command
from fleetjobs.cli.screen import stdout

HELP = """\
Print what makes your shell complete commands, agents, actions, inputs and nodes.

[bold]Examples[/]

\b
  eval "$(fj completion bash)"        in ~/.bashrc
  eval "$(fj completion zsh)"         in ~/.zshrc
  fj completion fish > ~/.config/fish/completions/fj.fish
"""

NAMES = ("fj", "fleetjobs")

#: `name=` is to be followed by its value, not by a space
_NO_SPACE = (
    "[[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n    return 0"
)


@command(help=HELP)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete."""
    root = context.find_root().command
    kind = get_completion_class(shell)
    if kind is None:  # pragma: no cover  click has all three
        raise click.ClickException(f"completion for {shell} is not available")
    for name in NAMES:
        source = kind(root, {}, name, f"_{name.upper()}_COMPLETE").source()
        stdout().write(source.replace("return 0", _NO_SPACE) if shell == "bash" else source)
