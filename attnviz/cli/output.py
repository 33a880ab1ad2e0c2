"""What the user sees: errors, progress and results, and how the process ends."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from attnviz.errors import AttnvizError, one_line

if TYPE_CHECKING:
    from pathlib import Path

    from rich.progress import Progress

    from attnviz.trace import Trace


def complain(message: str) -> None:
    """Prints an error: one line on standard error."""
    _print_error(f"attnviz: error: {message}")


def note(message: str) -> None:
    """Prints a remark, on standard error."""
    _print_error(f"attnviz: {message}")


def _print_error(line: str) -> None:
    try:
        click.echo(one_line(line), err=True)
    except OSError:
        pass  # standard error is closed: there is nobody left to tell


def explain_error(error: BaseException) -> tuple[str, int]:
    """The one line that says what went wrong, and the exit status."""
    if isinstance(error, click.UsageError):
        message = " ".join(error.format_message().split())
        command = error.ctx.command_path if error.ctx else "attnviz"
        return f"{message.rstrip('.')} (see '{command} --help')", 2
    if isinstance(error, click.ClickException | AttnvizError):
        return str(error), 1
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return "interrupted", 130
    if os.environ.get("ATTNVIZ_TRACEBACK"):
        raise error
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out of memory; try fewer or smaller photos, or --device cpu", 1
    if isinstance(error, OSError):
        return f"{error.filename or 'input or output'}: {error.strerror or error}", 1
    first = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {first}; this is a bug, please report it with what ATTNVIZ_TRACEBACK=1 shows", 1


def leave(status: int) -> NoReturn:
    """Ends the process, at once when torch is loaded: it takes 0.3 s to take itself down, with nothing left to do."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = status or 141
    if "torch" in sys.modules:
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

    def __init__(self, total: int, *, as_json: bool = False, quiet: bool = False, captions_to_error: bool = False) -> None:
        self._total, self._json, self._quiet, self._err = total, as_json, quiet, captions_to_error
        self._results: list[dict[str, Any]] = []
        self.failures = 0
        self._bar: Progress | None = None
        if total > 1 and not quiet and sys.stderr.isatty():
            self._bar = _progress_bar(total)

    def done(self, name: str, trace: Trace, files: list[Path], folder: Path | None) -> None:
        """A photo is finished; `folder` is None where the picture went to standard output."""
        summary = trace.summary()
        if self._json:
            where = {"folder": None if folder is None else str(folder), "files": [file.name for file in files]}
            self._results.append({"source": name, **where, **summary})
        else:
            click.echo(one_line(f"{name}: {trace.caption}"), err=self._err)
        if not self._quiet:
            for remark in summary["notes"]:
                note(f"{name}: {remark}")
            if folder is not None:
                note(f"{self._count()}{name}: {len(files)} files in {folder}{os.sep}")
        self._advance()

    def failed(self, name: str, error: AttnvizError) -> None:
        """A photo could not be done; the others go on."""
        self.failures += 1
        complain(str(error))
        if self._json:
            self._results.append({"source": name, "error": str(error)})
        self._advance()

    def close(self) -> int:
        """Ends the progress bar, prints the JSON object if there is one, and returns the exit status."""
        self.stop()
        if self._json:
            import json

            click.echo(json.dumps({"results": self._results, "failed": self.failures}, indent=2))
        return 1 if self.failures else 0

    def stop(self) -> None:
        """Takes the progress bar off the terminal."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _count(self) -> str:
        return f"{len(self._results) + 1}/{self._total} " if self._total > 1 and self._json else ""

    def _advance(self) -> None:
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])


def _progress_bar(total: int) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Standard output is only drawn around the bar where it goes to the same terminal; a pipe gets its lines untouched.
    bar = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty())
    bar.add_task("photos", total=total)
    bar.start()
    return bar
