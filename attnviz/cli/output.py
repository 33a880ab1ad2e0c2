"""What the user sees: errors, progress and results, and how the process ends."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn, Self

import click

from attnviz.errors import AttnvizError, one_line

if TYPE_CHECKING:
    from pathlib import Path

    from rich.progress import Progress

    from attnviz.trace import Trace


FAILED, USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141
"""Exit statuses; the last two are what a shell reports for SIGINT and SIGPIPE."""


def complain(message: str) -> None:
    """Prints an error: one line on standard error."""
    _print_error(f"attnviz: error: {message}")


def note(message: str) -> None:
    """Prints a remark, on standard error."""
    _print_error(f"attnviz: {message}")


def _print_error(line: str) -> None:
    with suppress(OSError):  # standard error is closed: there is nobody left to tell
        click.echo(one_line(line), err=True)


def explain_error(error: BaseException) -> tuple[str, int]:
    """The one line that says what went wrong, and the exit status."""
    if isinstance(error, click.UsageError):
        message = " ".join(error.format_message().split())
        command = error.ctx.command_path if error.ctx else "attnviz"
        return f"{message.rstrip('.')} (see '{command} --help')", USAGE
    if isinstance(error, click.ClickException | AttnvizError):
        return str(error), FAILED
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return "interrupted", INTERRUPTED
    if os.environ.get("ATTNVIZ_TRACEBACK"):
        raise error
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out of memory; try fewer or smaller photos, or --device cpu", FAILED
    if isinstance(error, OSError):
        return f"{error.filename or 'input or output'}: {error.strerror or error}", FAILED
    first = str(error).strip().split("\n")[0]
    return (
        f"{type(error).__name__}: {first}; this is a bug, please report it with what ATTNVIZ_TRACEBACK=1 shows",
        FAILED,
    )


def leave(status: int) -> NoReturn:
    """Ends the process.

    At once, when torch is loaded: it takes 0.3 s to take itself down, with nothing left to do. And when the thread that
    imports it is still at work: Python's own way out may then wait for a library that waits for Python, forever.
    """
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        os._exit(status or BROKEN_PIPE)  # Python would try once more, and complain
    if "torch" in sys.modules or threading.active_count() > 1:
        os._exit(status)
    sys.exit(status)


class Report:
    """Tells of each photo as it is done, and sums up at the end.

    Args:
        total: how many photos there are.
        as_json: gather the results and print them as one JSON object at the end, instead of a caption line each.
        quiet: no progress and no remarks.
        captions_to_error: standard output is taken by a picture.
    """

    def __init__(
        self, total: int, *, as_json: bool = False, quiet: bool = False, captions_to_error: bool = False
    ) -> None:
        self._json, self._quiet, self._captions_to_error = as_json, quiet, captions_to_error
        self._results: list[dict[str, Any]] = []
        self._failures = 0
        self._bar = progress_bar(total) if total > 1 and not quiet and sys.stderr.isatty() else None

    @property
    def status(self) -> int:
        """Exit status: 1 when a photo failed."""
        return FAILED if self._failures else 0

    @contextmanager
    def photo(self, name: str) -> Iterator[None]:
        """What goes wrong inside is reported as this photo's failure, and the others go on."""
        try:
            yield
        except AttnvizError as error:
            self._failures += 1
            message = str(error) if one_line(name) in str(error) else f"{name}: {error}"
            complain(message)
            self._results.append({"source": name, "error": message})
            self._advance()

    def done(self, name: str, trace: Trace, files: Sequence[Path], folder: Path | None) -> None:
        """A photo is finished; `folder` is None where the picture went to standard output."""
        summary = trace.summary()
        if self._json:
            place = {"folder": None if folder is None else str(folder), "files": [file.name for file in files]}
            self._results.append({"source": name, **place, **summary})
        else:
            click.echo(one_line(f"{name}: {trace.caption}"), err=self._captions_to_error)
        if not self._quiet:
            for remark in summary["notes"]:
                note(f"{name}: {remark}")
            if folder is not None and self._bar is None:
                note(f"{name}: {len(files)} files in {folder}{os.sep}")
        self._advance()

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._json and kind is None:
            import json

            click.echo(json.dumps({"results": self._results, "failed": self._failures}, indent=2))

    def _advance(self) -> None:
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])


def progress_bar(total: int, *fields: str) -> Progress:
    """A bar of `total` photos on standard error, which goes away at its end; `fields` are texts beside it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *(TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in fields),
        TimeRemainingColumn(),
    )
    # Standard output is only drawn around the bar where it goes to the same terminal; a pipe gets its lines untouched.
    bar = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty())
    empty: dict[str, Any] = dict.fromkeys(fields, "")
    bar.add_task("photos", total=total, **empty)
    return bar
