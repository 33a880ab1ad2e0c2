"""`attnviz train`."""

from __future__ import annotations

from pathlib import Path

import click

from attnviz.cli.output import note
from attnviz.cli.types import File


@click.command()
@click.argument("config", metavar="CONFIG.toml", type=File())
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(config: str, quiet: bool) -> None:
    """Train a model as a TOML file says.

    The state is saved after every epoch: the same command goes on where it was stopped. At the end it prints the
    checkpoint's path. The README says what the data look like; configs/ has the files that made the bundled models.
    """
    from attnviz.train import fit, read_config

    path: Path = fit(read_config(config), (lambda line: None) if quiet else note)
    click.echo(path)
