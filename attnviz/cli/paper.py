"""Where a figure goes: a file, or several where it takes more than a page, and what is printed of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnviz.cli.choices import FIGURE_FORMATS
from attnviz.cli.delivery import STDOUT, check_stdout
from attnviz.cli.output import note
from attnviz.cli.photos import label
from attnviz.cli.places import STDIN, check_folder
from attnviz.errors import ConfigError, OutputError, counted, one_line
from attnviz.files import write_atomically

if TYPE_CHECKING:
    from attnviz.render.figure import Page
    from attnviz.trace import Trace

IN_LATEX = ("pdf", "png")


def check_output(
    ctx: click.Context, images: Sequence[str], out: str, format: str | None, as_json: bool, latex: bool
) -> str:
    """The format to write, once `-o` can be written and fits the rest of the command line.

    Raises:
        click.UsageError: options that do not fit each other.
        OutputError: a file that cannot be written.
    """
    if images.count(STDIN) > 1:
        raise click.UsageError("standard input can be read only once; give - once", ctx)
    if latex and as_json:
        raise click.UsageError("--latex and --json both print; give one of the two", ctx)
    kind = _format(ctx, out, format)
    if out == STDOUT:
        if as_json or latex:
            left = "--json" if as_json else "--latex"
            raise click.UsageError(f"-o - writes the figure to standard output; leave out {left}", ctx)
        check_stdout(ctx, "the figure into a file, as in > fig.pdf")
    elif latex and kind not in IN_LATEX:
        raise click.UsageError(f"LaTeX includes {' and '.join(IN_LATEX)}, not {kind}; give -o fig.pdf", ctx)
    return kind


def _format(ctx: click.Context, out: str, format: str | None) -> str:
    if out == STDOUT:
        return format or FIGURE_FORMATS[0]
    path = Path(out)
    if path.is_dir():
        raise OutputError(f"{out}: is a folder; name a file in it, such as {path / 'fig.pdf'}")
    check_folder(path.parent)
    suffix = path.suffix.removeprefix(".").lower()
    if format is None and suffix not in FIGURE_FORMATS:
        kinds = ", ".join(f".{name}" for name in FIGURE_FORMATS)
        raise click.UsageError(f"-o {out}: no figure has the suffix {path.suffix or '(none)'}; give {kinds}", ctx)
    return format or suffix


def deliver(pages: Sequence[Page], kind: str, out: str, quiet: bool) -> list[str]:
    """Writes the pages; the files' names. Several are numbered: fig-1.pdf, fig-2.pdf.

    Raises:
        ConfigError: several pages for standard output.
        OutputError: a file that cannot be written.
    """
    if out == STDOUT:
        if len(pages) > 1:
            raise ConfigError(f"the figure takes {len(pages)} pages; name a file, or draw fewer words or photos")
        sys.stdout.buffer.write(pages[0].to_bytes(kind))
        sys.stdout.buffer.flush()
        return [out]
    path = Path(out)
    several = [str(path.with_name(f"{path.stem}-{number}{path.suffix}")) for number in range(1, len(pages) + 1)]
    names = several if len(pages) > 1 else [out]
    for name, page in zip(names, pages, strict=True):
        write_atomically(name, page.to_bytes(kind))
        if not quiet:
            width, height = page.get_size_inches()
            note(f"{name}: {width:.2f} x {height:.2f} inches, {counted(page.words, 'word')}")
    return names


def tell(images: Sequence[str], traces: Sequence[Sequence[Trace]], names: Sequence[str], as_json: bool) -> None:
    """Prints the captions, or the summaries as JSON."""
    if as_json:
        import json

        results: list[dict[str, Any]] = [
            {"source": image, "rows": [trace.summary() for trace in of_one]}
            for image, of_one in zip(images, traces, strict=True)
        ]
        click.echo(json.dumps({"figure": names[0], "files": list(names), "results": results}, indent=2))
        return
    for image, of_one in zip(images, traces, strict=True):
        click.echo(one_line(f"{label(image)}: {of_one[0].caption}"), err=names[0] == STDOUT)


def tell_latex(
    traces: Sequence[Sequence[Trace]], pages: Sequence[Page], names: Sequence[str], drawing: dict[str, Any]
) -> None:
    """Prints what LaTeX needs to include the pages."""
    from attnviz.render.figure import FigureOptions
    from attnviz.render.figure.latex import snippet

    first = 0
    for page, name in zip(pages, names, strict=True):
        of_page = traces[first : first + page.photos]
        click.echo(snippet(Path(name).as_posix(), of_page, FigureOptions(**drawing), first, len(traces)), nl=False)
        first += page.photos
