"""``tcemu completion``: the script that makes a shell complete commands, options and names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from actors.cli.exits import BadInput

EPILOG = """\b
Examples:
  tcemu completion bash > ~/.local/share/bash-completion/completions/tcemu
  tcemu completion zsh > ~/.zfunc/_tcemu
  tcemu completion fish > ~/.config/fish/completions/tcemu.fish
"""


@click.command("completion", epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the shell completion script."""
    from actors.cli.app import COMPLETE_VARIABLE, app  # noqa: PLC0415 - the group imports its commands

    kind = get_completion_class(shell)
    if kind is None:
        raise BadInput(f"no completion for {shell!r}; there are bash, zsh, fish")
    click.echo(kind(app, {}, "tcemu", COMPLETE_VARIABLE).source(), nl=False)
