"""Drawing a trace to where the user wants it: a folder, one file, or standard output."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnviz.cli.choices import FILES
from attnviz.cli.output import as_usage
from attnviz.cli.places import check_folder
from attnviz.errors import OutputError
from attnviz.files import is_folder, write_atomically

if TYPE_CHECKING:
    from attnviz.photo.image import Photo
    from attnviz.trace import Trace

STDOUT = "-"
DEMANDING = ("webp", "webp-stills", "mp4")  # formats that not every installation can write
TRACE = "npz"  # of a file: the trace itself, which a folder always has


@dataclass(frozen=True)
class Target:
    """Where results go.

    Attributes:
        formats: what to write.
        file: the one file, or `STDOUT`; None for a folder.
        folder: as given; None for folders named after the photos.
    """

    formats: tuple[str, ...]
    file: str | None = None
    folder: str | None = None

    @property
    def is_stdout(self) -> bool:
        """Whether standard output is taken by a picture."""
        return self.file == STDOUT


def check_output(
    ctx: click.Context, out: str | None, formats: Sequence[str], count: int, as_json: bool, modes: int = 1
) -> Target:
    """What `-o` and `-f` mean, once they fit the rest of the command line and nothing is missing that they need.

    Args:
        ctx: of the command.
        out: as given: a folder, a file with a suffix of `FILES`, or `STDOUT`.
        formats: of `-f`.
        count: how many photos there are.
        as_json: whether standard output is to get JSON.
        modes: how many are compared.

    Raises:
        click.UsageError: an `-o` that does not fit.
        ConfigError: a format that this installation cannot write.
        OutputError: standard output is closed, or a file stands in the way.
    """
    given = ctx.get_parameter_source("formats") is click.core.ParameterSource.COMMANDLINE
    suffix = Path(out or "").suffix.removeprefix(".").lower()
    if out is not None and out != STDOUT and suffix in FILES and not is_folder(out):
        return _file(ctx, out, _one_of(ctx, out, suffix, formats if given else ()), count, modes)
    if out != STDOUT:
        return Target(_possible(formats), folder=out)
    if ctx.get_parameter_source("formats") is click.core.ParameterSource.DEFAULT:
        formats = ("gif",)
    if len(formats) != 1:
        raise click.UsageError("-o - writes one file; choose one format with -f", ctx)
    if count != 1 or as_json:
        raise click.UsageError("-o - writes one picture; " + ("leave out --json" if as_json else "give one photo"), ctx)
    check_stdout(ctx, "the picture into a file, as in -o - > picture.gif")
    return Target(_possible(formats), file=STDOUT)


def _one_of(ctx: click.Context, out: str, suffix: str, formats: Sequence[str]) -> str:
    """The format of a file: what its suffix stands for first, or the one of `-f` where that has the same suffix."""
    known = FILES[suffix]
    if not formats:
        return known[0]
    if len(formats) != 1 or formats[0] not in known:
        raise click.UsageError(f"-o {out} names one file, and its suffix the format; leave out -f", ctx)
    return formats[0]


def _file(ctx: click.Context, out: str, format: str, count: int, modes: int) -> Target:
    if count != 1:
        raise click.UsageError(f"-o {out} names one file, but there are {count} photos; name a folder", ctx)
    if format == TRACE and modes > 1:
        raise click.UsageError(f"-o {out} holds the trace of one mode; name a folder for those of {modes}", ctx)
    check_folder(Path(out).parent)
    return Target((format,) if format == TRACE else _possible([format]), file=out)


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
    """The drawing options that were given, once they make sense together. Raises click.UsageError else."""
    from attnviz.render import DrawOptions

    given = {name: value for name, value in drawing.items() if value is not None}  # what is left out has a default
    with as_usage():
        DrawOptions(**given)
    return given


def deliver(
    traces: Sequence[Trace], photo: Photo, target: Target, folder: Path, drawing: Mapping[str, Any], source: str | None
) -> list[Path]:
    """Draws a photo's traces, the first of which wrote the words; returns the files written.

    Args:
        traces, photo: what to draw.
        target: where to.
        folder: of this photo's results, where the target is no file.
        drawing: options of DrawOptions.
        source: the photo's path, where it has one.

    Raises:
        AttnvizError: an option that does not fit the trace, or what cannot be written.
    """
    from attnviz.render import draw, write

    if target.file is None:
        return draw(traces[0], photo, folder, formats=target.formats, compare=traces[1:], photo_path=source, **drawing)
    if target.formats[0] == TRACE:
        traces[0].save(target.file)
        return [Path(target.file)]
    stream = sys.stdout.buffer if target.is_stdout else io.BytesIO()
    write(traces[0], photo, stream, format=target.formats[0], compare=traces[1:], **drawing)
    if isinstance(stream, io.BytesIO):
        write_atomically(target.file, stream.getvalue())
        return [Path(target.file)]
    stream.flush()
    return []
