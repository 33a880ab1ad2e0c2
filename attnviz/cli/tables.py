"""Tables on standard output: drawn on a terminal, aligned columns elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

Rows = Sequence[Sequence[str]]

APART, LEAST = 2, 5
"""Columns of a terminal: between those of a table, and of one that may be folded."""


def print_table(rows: Rows, *, numbers: int | None = None, names: int = 1) -> None:
    """Prints rows of equally many cells, the first row being the heading.

    Args:
        numbers: from this column on, counted from 0, all hold numbers, which stand flush right.
        names: so many columns at the left hold what one copies: it is never folded.
    """
    if sys.stdout.isatty() and _draw(rows, numbers, names):
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if numbers is not None and index >= numbers else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())


def _draw(rows: Rows, numbers: int | None, names: int) -> bool:
    """For a terminal: the heading set apart, cells folded where it is too narrow; False where names would be too."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heading, *body = rows
    console = Console()
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if sum(widths[:names]) + APART * len(widths) + LEAST * (len(widths) - names) > console.width:
        return False
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for index, name in enumerate(heading):
        right = numbers is not None and index >= numbers
        table.add_column(
            Text(name),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=index < names,
        )
    for row in body:
        table.add_row(*map(Text, row))  # as Text, where brackets are no markup
    console.print(table)
    return True
