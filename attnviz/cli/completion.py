"""`attnviz completion`."""

from __future__ import annotations

import click

from attnviz.cli.choices import SHELLS
from attnviz.cli.types import Name


@click.command()
@click.argument("shell", type=Name("shell", SHELLS))
def command(shell: str) -> None:
    """Print a script that completes attnviz's commands in a shell.

    \b
    bash: add to ~/.bashrc                   eval "$(attnviz completion bash)"
    zsh:  add to ~/.zshrc                    eval "$(attnviz completion zsh)"
    fish: attnviz completion fish > ~/.config/fish/completions/attnviz.fish

    Then the tab key completes commands, options, files, and the values that options take: models, modes, presets,
    colour maps, and in a list the next one after a comma.
    """
    from attnviz.cli.shells import script

    click.echo(script(shell), nl=False)
