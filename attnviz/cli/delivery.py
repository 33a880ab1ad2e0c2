"""Drawing a trace to where the user wants it: a folder, or standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnviz.cli.choices import FORMATS
from attnviz.errors import OutputError

if TYPE_CHECKING:
    from attnviz.photo.image import Photo
    from attnviz.trace import Trace

STDOUT = "-"
DEMANDING = ("webp", "mp4")  # formats that not every installation can write


def check_output(
    ctx: click.Context, out: str | None, formats: Sequence[str], count: int, as_json: bool
) -> tuple[str, ...]:
    """The formats to write, once `-o` fits the rest of the command line and nothing is missing that they need.

    Raises:
        click.UsageError: an `-o` that does not fit.
        ConfigError: a format that this installation cannot write.
        OutputError: standard output is closed.
    """
    if out != STDOUT:
        suffix = Path(out or "").suffix.removeprefix(".").lower()
        if suffix in FORMATS and not Path(out or "").is_dir():
            raise click.UsageError(f"-o names a folder, not a file; for one file write -f {suffix} -o - > {out}", ctx)
        return _possible(formats)
    if ctx.get_parameter_source("formats") is click.core.ParameterSource.DEFAULT:
        formats = ("gif",)
    if len(formats) != 1:
        raise click.UsageError("-o - writes one file; choose one format with -f", ctx)
    if count != 1 or as_json:
        raise click.UsageError("-o - writes one picture; " + ("leave out --json" if as_json else "give one photo"), ctx)
    check_stdout(ctx, "the picture into a file, as in -o - > picture.gif")
    return _possible(formats)


def check_stdout(ctx: click.Context, what: str) -> None:
    """Raises OutputError where standard output is closed, and click.UsageError where it is a terminal.

    Args:
        what: is to be sent where.
    """
    if is_closed("stdout"):
        raise OutputError(f"standard output is closed; send {what}")
    if sys.stdout.isatty():
        raise click.UsageError(f"standard output is a terminal; send {what}", ctx)


def is_closed(name: str) -> bool:
    """Whether "stdin" or "stdout" was closed by whoever started us: it is None, or the null device in its place."""
    stream = getattr(sys, name)
    return stream is None or (getattr(sys, f"__{name}__") is None and getattr(stream, "name", None) == os.devnull)


def _possible(formats: Sequence[str]) -> tuple[str, ...]:
    for name in formats:
        if name in DEMANDING:  # the others are not worth an import before the network is loaded
            from attnviz.render.writers import WRITERS

            WRITERS[name].require()
    return tuple(formats)


def checked(drawing: Mapping[str, Any]) -> dict[str, Any]:
    """The drawing options that were given, once they make sense together. Raises ConfigError where they do not."""
    from attnviz.render import DrawOptions

    given = {name: value for name, value in drawing.items() if value is not None}  # what is left out has a default
    DrawOptions(**given)
    return given


def deliver(
    traces: Sequence[Trace], photo: Photo, folder: Path | None, formats: Sequence[str], drawing: Mapping[str, Any]
) -> list[Path]:
    """Draws into `folder`, or to standard output where it is None; returns the files written.

    The first of the photo's traces is drawn; a page has the others too.

    Raises:
        AttnvizError: an option that does not fit the trace, or a folder that cannot be written.
    """
    from attnviz.render import draw, write

    if folder is not None:
        return draw(traces[0], photo, folder, formats=formats, compare=traces[1:], **drawing)
    write(traces[0], photo, sys.stdout.buffer, format=formats[0], compare=traces[1:], **drawing)
    sys.stdout.buffer.flush()
    return []
