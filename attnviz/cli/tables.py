"""Tables on standard output: drawn on a terminal, aligned columns elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

Rows = Sequence[Sequence[str]]


def print_table(rows: Rows, *, numbers: bool = False) -> None:
    """Prints rows of equally many cells, the first row being the heading.

    Args:
        numbers: all columns but the first hold numbers, which stand flush right.
    """
    if sys.stdout.isatty():
        _draw(rows, numbers)
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if numbers and index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())


def _draw(rows: Rows, numbers: bool) -> None:
    """For a terminal: the heading set apart, and cells folded where the terminal is too narrow."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heading, *body = rows
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for index, name in enumerate(heading):
        table.add_column(Text(name), justify="right" if numbers and index else "left", overflow="fold")
    for row in body:
        table.add_row(*map(Text, row))  # as Text, where brackets are no markup
    Console().print(table)
