"""`attnviz render`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from attnviz.cli.delivery import check_output, checked, deliver
from attnviz.cli.network import Loading
from attnviz.cli.options import asked_of, common_options, drawing_options, model_options
from attnviz.cli.output import Report
from attnviz.cli.photos import label, may_be_read, read_photo
from attnviz.cli.places import STDIN, result_folders
from attnviz.cli.sources import check_layers, compared, mode_sources
from attnviz.cli.types import File

if TYPE_CHECKING:
    from attnviz.photo.image import Photo

BATCH_PHOTOS = 16
BATCH_PIXELS = 50_000_000
"""Photos are described in batches of at most so many, and held in memory meanwhile."""


class Job(NamedTuple):
    """A photo as the user named it and as messages do, the folder of its results, and its pixels."""

    image: str
    name: str
    folder: Path
    photo: Photo


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=File())
@click.option(
    "-o",
    "--out",
    metavar="DIR|FILE",
    type=File(folder=True),
    help="Folder for the results, or one file by its suffix (out.gif, .png, .pdf, ...); - is standard output.",
)
@model_options
@drawing_options
@common_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    images: tuple[str, ...],
    out: str | None,
    formats: tuple[str, ...],
    model: str,
    mode: str | None,
    modes: tuple[str, ...] | None,
    layer_rows: tuple[str, ...] | None,
    device: str,
    max_pixels: int,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Describe photos and draw where the network looks at each word.

    Results of photo.jpg go to the folder photo-attention/: a PNG per word, overview.png, attention.gif, trace.npz (all
    numbers) and summary.json. With -o and one photo they go to DIR itself, with several photos to a folder for each in
    DIR; with -o FILE only that file is written, such as out.gif or out.png (the overview). - as IMAGE reads standard
    input. A photo that fails is named, and the others are done.
    """
    if images.count(STDIN) > 1:
        raise click.UsageError("standard input can be read only once; give - once", ctx)
    target = check_output(ctx, out, formats, len(images), as_json, len(modes or ("",)))
    folders = result_folders(images, target.folder)
    asked = asked_of(options)
    networks = [
        Loading(model=source.model, mode=source.mode, device=device, threads=options["threads"])
        for source in mode_sources(ctx, model, mode, modes)
    ]
    check_layers(ctx, layer_rows, asked.layers, len(networks))
    names = [label(image) for image in images]
    report = Report(len(names), as_json=as_json, order=names, quiet=quiet, captions_to_error=target.is_stdout)
    with networks[0], report:
        if may_be_read(images):
            networks[0].start()
        drawing = checked(options)
        for jobs in _batches(_read(images, folders, max_pixels, report)):
            found = compared(networks, [job.photo for job in jobs], asked, layer_rows)
            for job, traces in zip(jobs, found, strict=True):
                with report.photo(job.name):
                    told = traces[0] if drawing["pieces"] else traces[0].joined()
                    source = None if job.image == STDIN else job.image
                    files = deliver(traces, job.photo, target, job.folder, drawing, source)
                    report.done(job.name, told, files, None if target.file else job.folder)
    return report.status


def _read(images: Sequence[str], folders: Sequence[Path], max_pixels: int, report: Report) -> Iterator[Job]:
    """The photos that can be read; the others are reported."""
    for image, folder in zip(images, folders, strict=True):
        with report.photo(label(image)):
            yield Job(image, label(image), folder, read_photo(image, max_pixels))


def _batches(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    batch: list[Job] = []
    pixels = 0
    for job in jobs:
        batch.append(job)
        pixels += job.photo.size[0] * job.photo.size[1]
        if len(batch) == BATCH_PHOTOS or pixels >= BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch
