"""What the user sees: errors, progress and results, and how the process ends."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

import click

from attnviz.cli.bar import Bar, fits, say
from attnviz.errors import AttnvizError, ConfigError, counted, one_line

if TYPE_CHECKING:
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
        say(one_line(line), err=True)


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


@contextmanager
def as_usage() -> Iterator[None]:
    """Around what looks at the options together: those that do not go together are wrong usage, as click has it."""
    try:
        yield
    except ConfigError as error:
        raise click.UsageError(str(error), click.get_current_context(silent=True)) from error


class Report:
    """Tells of each photo as it is done, and sums up at the end.

    Args:
        total: how many photos there are.
        as_json: gather the results and print them as one JSON object at the end, instead of a caption line each.
        order: what the photos are called, as they were given: so the JSON has them, also those that failed.
        quiet: no progress and no remarks.
        captions_to_error: standard output is taken by a picture.
    """

    def __init__(
        self,
        total: int,
        *,
        as_json: bool = False,
        order: Sequence[str] = (),
        quiet: bool = False,
        captions_to_error: bool = False,
    ) -> None:
        self._order = order
        self._json, self._quiet, self._captions_to_error = as_json, quiet, captions_to_error
        self._results: list[dict[str, Any]] = []
        self._total, self._done, self._failures = total, 0, 0
        self._began, self._place = time.monotonic(), Path()
        self._bar = Bar(total) if total > 1 and not quiet and fits() else None

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
        """A photo is finished; `folder` is None where only one file was written, or to standard output."""
        summary = trace.summary()
        if self._json:
            place = {"folder": None if folder is None else str(folder), "files": [file.name for file in files]}
            if folder is None and files:
                place["folder"] = str(files[0].parent)
            self._results.append({"source": name, **place, **summary})
        else:
            say(one_line(f"{name}: {trace.caption}"), err=self._captions_to_error)
        if not self._quiet:
            for remark in summary["notes"]:
                note(f"{name}: {remark}")
            if folder is not None and self._bar is None:
                note(f"{name}: {counted(len(files), 'file')} in {folder}{os.sep}")
            elif folder is None and files:
                note(f"{name}: {files[0]}")
        self._done += 1
        self._place = self._place if folder is None else folder.parent
        self._advance()

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if self._bar is not None:
            self._bar.__exit__(kind, *error)
        if self._total > 1 and not self._quiet and kind is None:
            told = f"{self._done} done, {self._failures} failed in {clock(time.monotonic() - self._began)}"
            note(f"{told}; results in {self._place}{os.sep}" if self._done else told)
        if self._json and kind is None:
            import json

            click.echo(json.dumps({"results": self._in_order(), "failed": self._failures}, indent=2))

    def _in_order(self) -> list[dict[str, Any]]:
        # A photo may be given twice, and a batch is described only when later photos have failed to be read.
        places: dict[str, list[int]] = {}
        for place, name in enumerate(self._order):
            places.setdefault(name, []).append(place)
        ahead = {name: iter(found) for name, found in places.items()}
        keyed = [(next(ahead.get(one["source"], iter(())), len(self._order)), one) for one in self._results]
        return [one for _, one in sorted(keyed, key=lambda pair: pair[0])]

    def _advance(self) -> None:
        if self._bar is not None:
            self._bar.update(self._done + self._failures)


def clock(seconds: float) -> str:
    """Seconds as 0:42, 12:07 or 3:10:55."""
    minutes, rest = divmod(round(min(seconds, 359_999_999)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
