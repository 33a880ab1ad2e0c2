"""`attnviz figure`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnviz.cli.boxes import boxes_of
from attnviz.cli.choices import FIGURE_FORMATS, MODES
from attnviz.cli.config import model_names
from attnviz.cli.delivery import STDOUT, check_stdout
from attnviz.cli.network import Loading
from attnviz.cli.options import asked_of, common_options, figure_drawing_options, figure_model_options
from attnviz.cli.output import FAILED, complain, note
from attnviz.cli.photos import label, may_be_read, read_photo
from attnviz.cli.places import STDIN, check_folder
from attnviz.cli.sources import compared, sources
from attnviz.cli.types import File, Name, Names, Paths, Width
from attnviz.errors import AttnvizError, OutputError, one_line
from attnviz.files import write_atomically

if TYPE_CHECKING:
    from attnviz.photo.image import Photo
    from attnviz.render.figure import Page
    from attnviz.trace import Trace


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=File())
@click.option(
    "-o", "--out", required=True, metavar="FILE", type=File(), help="fig.pdf, fig.svg or fig.png; - is standard output."
)
@click.option(
    "-f", "--format", type=Name("format", FIGURE_FORMATS), help="Of the file.  [default: by its suffix; of -, pdf]"
)
@click.option(
    "--modes", type=Names("mode", MODES, repeats=False), help="Compare these score functions, a row for each."
)
@click.option("--difference", is_flag=True, help="Below each row, its difference from the first.")
@click.option(
    "--model",
    "models",
    type=Paths(model_names),
    default="flickr8k",
    show_default=True,
    metavar="NAME|PATH,...",
    help="Bundled models, checkpoint files, or folders of them.",
)
@figure_model_options
@click.option("--words", metavar="dog,frisbee", help="Draw only these words.  [default: all]")
@click.option(
    "--boxes", metavar="FILE", type=File(), help="Outline the boxes that a JSON file holds, as the README says."
)
@click.option("--columns", metavar="N", type=click.IntRange(1, 100), help="Panels side by side.  [default: what fits]")
@click.option("--width", type=Width(), metavar="3.25in|85mm", default="6.5in", show_default=True, help="Of the page.")
@click.option(
    "--dpi", metavar="N", type=click.IntRange(20, 2400), default=300, show_default=True, help="Dots an inch of photos."
)
@click.option("--font", metavar="NAME|PATH", type=File(), help="Font of the words.  [default: DejaVu Sans]")
@click.option(
    "--font-size", metavar="POINTS", type=click.FloatRange(3, 144), default=8, show_default=True, help="Of the words."
)
@figure_drawing_options
@common_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    images: tuple[str, ...],
    out: str,
    format: str | None,
    modes: tuple[str, ...] | None,
    models: tuple[str, ...],
    boxes: str | None,
    device: str,
    threads: int | None,
    max_pixels: int,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Lay photos and their words out as a figure for print or slides.

    Each photo stands beside a panel for each of its words, with the word above it. Several modes or models are compared
    row by row, on one scale and with the words that the first one writes. A photo that fails is named, and then nothing
    is written.
    """
    kind = _check_output(ctx, images, out, format, as_json)
    asked = asked_of(options)
    drawing = _checked(options)
    with ExitStack() as opened:
        networks = [
            opened.enter_context(Loading(model=model, mode=mode, device=device, threads=threads))
            for model, mode in sources(models, modes)
        ]
        if may_be_read(images):
            networks[0].start()
        photos = _read(images, max_pixels)
        if len(photos) < len(images):
            return FAILED
        around = boxes_of(boxes, photos) if boxes else None
        traces = compared(networks, photos, asked)
    if not drawing["pieces"]:
        traces = [[trace.joined() for trace in of_one] for of_one in traces]
    if not quiet:
        _remark(traces, photos, around, drawing)
    page = _compose(traces, photos, around, drawing)
    _deliver(page.to_bytes(kind), out)
    width, height = page.get_size_inches()
    if not quiet and out != STDOUT:
        note(f"{out}: {width:.2f} x {height:.2f} inches, {sum(len(axes.get_title()) > 0 for axes in page.axes)} words")
    _tell(images, traces, out, as_json)
    return 0


def _check_output(ctx: click.Context, images: Sequence[str], out: str, format: str | None, as_json: bool) -> str:
    """The format to write, once `-o` can be written and fits the rest of the command line."""
    if images.count(STDIN) > 1:
        raise click.UsageError("standard input can be read only once; give - once", ctx)
    if out == STDOUT:
        if as_json:
            raise click.UsageError("-o - writes the figure to standard output; leave out --json", ctx)
        check_stdout(ctx, "the figure into a file, as in > fig.pdf")
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


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, once a figure can be drawn with them."""
    import logging

    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of its font cache, which nobody asked for
    from attnviz.render.figure import FigureOptions

    given = {name: value for name, value in options.items() if value is not None}
    FigureOptions(**given)
    return given


def _read(images: Sequence[str], max_pixels: int) -> list[Photo]:
    """The photos that can be read; the others are named on standard error."""
    photos = []
    for image in images:
        try:
            photos.append(read_photo(image, max_pixels))
        except AttnvizError as error:
            complain(str(error))
    return photos


def _remark(traces: list[list[Trace]], photos: list[Photo], boxes: list[Any] | None, drawing: dict[str, Any]) -> None:
    """Tells what should be known of the photos, and what was asked for and will not be seen on the panels."""
    for photo in photos:
        for remark in photo.remarks:
            note(f"{photo.name}: {remark}")
    if drawing.get("difference") and len(traces[0]) == 1:
        note("--difference: there is one row, so nothing to differ from; compare several with --modes or --model")
    for of_one, photo, named in zip(traces, photos, boxes or (), strict=boxes is not None):
        said = {token.casefold() for token in of_one[0].tokens}
        left = [word for word in named if word and word.casefold() not in said]
        if left:
            note(f"{photo.name}: no word of the caption has the boxes {', '.join(left)}; only the photo shows them")


def _compose(traces: list[list[Trace]], photos: list[Photo], boxes: list[Any] | None, drawing: dict[str, Any]) -> Page:
    from attnviz.render.figure import figure

    return figure(traces, photos, boxes=boxes, **drawing)


def _deliver(data: bytes, out: str) -> None:
    if out == STDOUT:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        write_atomically(out, data)


def _tell(images: Sequence[str], traces: list[list[Trace]], out: str, as_json: bool) -> None:
    """Prints the captions, or the summaries as JSON."""
    if as_json:
        import json

        results = [
            {"source": image, "rows": [trace.summary() for trace in of_one]}
            for image, of_one in zip(images, traces, strict=True)
        ]
        click.echo(json.dumps({"figure": out, "results": results}, indent=2))
        return
    for image, of_one in zip(images, traces, strict=True):
        click.echo(one_line(f"{label(image)}: {of_one[0].caption}"), err=out == STDOUT)
