"""The bar on a terminal's last line, and what is said while it is there: whole lines, which stand above it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any, ClassVar, Self

import click

CLEAR = b"\r\x1b[2K\x1b[?25h"
"""Empties the line that the cursor is in, and shows the cursor, which a bar hides."""


class Bar:
    """A bar of so many photos on standard error, which goes away at its end. Use it as a context, one at a time.

    Args:
        total: how many photos there are.
        fields: names of texts beside it, empty at first.
    """

    _shown: ClassVar[Bar | None] = None

    def __init__(self, total: int, *fields: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            *(TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in fields),
        )
        # What others print is drawn around the bar where it goes to the same terminal; a pipe gets its lines untouched.
        self._bar = Progress(
            *columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()
        )
        texts: dict[str, Any] = dict.fromkeys(fields, "")
        self._task = self._bar.add_task("photos", total=total, **texts)

    def __enter__(self) -> Self:
        with suppress(OSError):
            self._bar.start()
        Bar._shown = self
        return self

    def __exit__(self, *_: object) -> None:
        Bar._shown = None
        with suppress(OSError):  # the terminal is gone
            self._bar.stop()

    def update(self, completed: int | None = None, **fields: str) -> None:
        """Shows how many photos are completed, where that is given, and the texts beside it."""
        self._bar.update(self._task, completed=completed, **fields)  # type: ignore[arg-type]  # as fields, any name

    def above(self, line: str) -> None:
        """Prints a line above the bar, which is cleared for it and drawn again."""
        from rich.text import Text

        self._bar.console.print(Text(line), soft_wrap=True, highlight=False)


def fits() -> bool:
    """Whether standard error is a terminal that can draw over a line."""
    return sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def say(line: str, *, err: bool) -> None:
    """Prints a line, on standard error or standard output; where a bar stands on that terminal, above it."""
    bar = Bar._shown
    if bar is not None and (sys.stderr if err else sys.stdout).isatty():
        bar.above(line)
    else:
        click.echo(line, err=err)
