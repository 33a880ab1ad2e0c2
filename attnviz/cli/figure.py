"""`attnviz figure`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from attnviz.cli.boxes import boxes_of
from attnviz.cli.choices import FIGURE_FORMATS, MODES
from attnviz.cli.lookups import Font, Length, Models
from attnviz.cli.network import Loading
from attnviz.cli.options import (
    asked_of,
    check_texts,
    common_options,
    figure_drawing_options,
    figure_model_options,
    several_texts,
)
from attnviz.cli.output import FAILED, as_usage, complain, note
from attnviz.cli.paper import check_output, deliver, tell, tell_latex
from attnviz.cli.photos import may_be_read, read_photo
from attnviz.cli.sources import check_layers, chosen_modes, compared, sources
from attnviz.cli.types import File, Layers, Name, Names
from attnviz.errors import AttnvizError
from attnviz.files import composed

if TYPE_CHECKING:
    from attnviz.photo.image import Photo
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
@click.option(
    "--layers", "layer_rows", type=Layers(several=True), help="Compare these layers of the model, a row for each."
)
@click.option("--difference", is_flag=True, help="Below each row, its difference from the first.")
@click.option(
    "--model",
    "models",
    type=Models(),
    default="flickr8k",
    show_default=True,
    metavar="NAME|PATH,...",
    help="Bundled models, checkpoint files or folders of them, or hf:... of Hugging Face.",
)
@figure_model_options
@several_texts
@click.option(
    "--words", metavar="dog,frisbee|content", help="Draw only these words, or nouns, verbs, adjectives.  [default: all]"
)
@click.option("--title", "titles", metavar="TEXT", multiple=True, help="Above a photo; once for each, '' for none.")
@click.option("--sentence/--no-sentence", default=True, show_default=True, help="Under each photo.")
@click.option(
    "--boxes", metavar="FILE", type=File(), help="Outline the boxes that a JSON file holds, as the guide says."
)
@click.option("--columns", metavar="N", type=click.IntRange(1, 100), help="Panels side by side.  [default: what fits]")
@click.option("--width", type=Length(), metavar="3.25in|85mm", default="6.5in", show_default=True, help="Of the page.")
@click.option(
    "--height",
    type=Length(),
    metavar="9in|240mm",
    default="9in",
    show_default=True,
    help="Of a page at most; further photos go on another.",
)
@click.option("--fit", is_flag=True, help="Make the page as high as --height, and panels as large as fit it.")
@click.option(
    "--dpi", metavar="N", type=click.IntRange(20, 2400), default=300, show_default=True, help="Dots an inch of photos."
)
@click.option("--font", metavar="NAME|PATH", type=Font(), help="Font of the words.  [default: DejaVu Sans]")
@click.option(
    "--font-size", metavar="POINTS", type=click.FloatRange(3, 144), default=8, show_default=True, help="Of the words."
)
@click.option("--latex", is_flag=True, help="Print the LaTeX that includes the figure, instead of the captions.")
@figure_drawing_options
@common_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    images: tuple[str, ...],
    out: str,
    format: str | None,
    mode: str | None,
    modes: tuple[str, ...] | None,
    models: tuple[str, ...],
    layer_rows: tuple[str, ...] | None,
    titles: tuple[str, ...],
    latex: bool,
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
    kind = check_output(ctx, images, out, format, as_json, latex)
    check_texts(ctx, options["text"], images)
    asked = asked_of(options)
    drawing = _checked(options)
    with ExitStack() as opened:
        networks = [
            opened.enter_context(Loading(model=model, mode=mode, device=device, threads=threads))
            for model, mode in sources(models, chosen_modes(ctx, mode, modes))
        ]
        check_layers(ctx, layer_rows, asked.layers, len(networks))
        if may_be_read(images):
            networks[0].start()
        photos = _read(images, max_pixels)
        if len(photos) < len(images):
            return FAILED
        around = boxes_of(boxes, photos) if boxes else None
        traces = compared(networks, photos, asked, layer_rows)
    if not drawing["pieces"]:
        traces = [[trace.joined() for trace in of_one] for of_one in traces]
    if not quiet:
        _remark(traces, photos, around, drawing)
    from attnviz.render.figure import figures

    pages = figures(traces, photos, boxes=around, titles=titles or None, **drawing)
    names = deliver(pages, kind, out, quiet)
    if latex:
        tell_latex(traces, pages, names, drawing)
    else:
        tell(images, traces, names, as_json)
    return 0


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, once a figure can be drawn with them."""
    from attnviz.render.figure import FigureOptions

    given = {name: value for name, value in options.items() if value is not None}
    with as_usage():
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
        said = {composed(token).casefold() for token in of_one[0].tokens}
        left = [word for word in named if word and composed(word).casefold() not in said]
        if left:
            note(f"{photo.name}: no word of the caption has the boxes {', '.join(left)}; only the photo shows them")
