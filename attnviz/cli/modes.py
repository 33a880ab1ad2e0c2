"""`attnviz modes`."""

from __future__ import annotations

import click

from attnviz.cli.choices import MODES
from attnviz.cli.tables import print_table


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def command(as_json: bool) -> None:
    """List the score functions.

    A score function says how much a cell of the encoder's grid is worth to the decoder at a step; a softmax turns the
    scores into weights that sum to 1.
    """
    if as_json:
        import json

        click.echo(json.dumps({name: mode._asdict() for name, mode in MODES.items()}, indent=2))
        return
    rows: list[tuple[str, ...]] = [
        ("mode", "score", "weights over", "note"),
        *((name, *mode) for name, mode in MODES.items()),
    ]
    print_table(rows)
    click.echo("\nE_i: the encoder's output at cell i; E_:c: its channel c; d: the decoder's state; W, w, FC: learned.")
    click.echo("The bound of flat-concat is 2.82 % a cell on the 16x16 cells of the bundled models.")
