"""`attnviz draw`."""

from __future__ import annotations

from os.path import isfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnviz.cli.delivery import STDOUT, check_output, checked, deliver
from attnviz.cli.options import common_options, drawing_options
from attnviz.cli.output import Report, note
from attnviz.cli.places import result_folders
from attnviz.cli.types import File
from attnviz.cli.weights import SOURCE, check_source, trace_of, weights_options
from attnviz.errors import ImageError, TraceError

if TYPE_CHECKING:
    from attnviz.photo.image import Photo
    from attnviz.trace import Trace


@click.command()
@click.argument("file", metavar="[TRACE.npz]", required=False, type=File())
@click.option(
    "--image",
    metavar="IMAGE",
    type=File(),
    help="The photo.  [default: the one the trace names, beside it or a folder up]",
)
@click.option(
    "-o",
    "--out",
    metavar="DIR",
    type=File(folder=True),
    help="Folder for the results; - writes one file to standard output.",
)
@weights_options
@drawing_options
@common_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    file: str | None,
    out: str | None,
    formats: tuple[str, ...],
    max_pixels: int,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Draw a saved trace again, or the attention of another program, without a network.

    TRACE.npz is the file that 'attnviz render' writes, or one of another program in the same format. With --weights,
    any array of attention is drawn: (T, N), (T, h, w) or (L, H, T, N) for T words. The pictures go to the folder
    PHOTO-attention/, named after the photo, and replace those of an earlier run.
    """
    formats = check_output(ctx, out, formats, 1, as_json)
    check_source(ctx, file, options)
    source = {name: options.pop(name) for name in SOURCE}
    drawing = checked(options)
    trace, photo = _load(file, source, max_pixels)
    file = file or source["weights"]
    if not quiet:
        _remark(trace, photo)
    folder = None if out == STDOUT else result_folders([photo.name], out)[0]  # a file's own name
    with Report(1, as_json=as_json, quiet=quiet, captions_to_error=out == STDOUT) as report:
        told = trace if drawing["pieces"] else trace.joined()
        report.done(file, told, deliver([trace], photo, folder, formats, drawing), folder)
    return report.status


def _load(file: str | None, source: dict[str, Any], max_pixels: int) -> tuple[Trace, Photo]:
    """The trace to draw, and its photo."""
    from attnviz.photo.image import load
    from attnviz.trace import Trace

    if file is None:
        photo = load(source["image"], max_pixels=max_pixels)
        return trace_of(photo, source), photo
    trace = Trace.load(file)
    if not len(trace):
        raise TraceError(f"{file}: the trace has no steps, so there is nothing to draw; give another")
    return trace, load(source["image"] or _find_photo(Path(file), trace), max_pixels=max_pixels)


def _find_photo(file: Path, trace: Trace) -> Path:
    """The photo that the trace names: beside the trace, a folder up, or in the current folder."""
    if trace.image is None:
        raise ImageError(f"{file}: does not name its photo; give it with --image")
    name = Path(trace.image.name).name
    for folder in (file.parent, file.parent.parent, Path()):
        if isfile(folder / name):  # noqa: PTH113 - Path.is_file raises for a name that is too long
            return folder / name
    raise ImageError(f"{file}: its photo {name} is not beside it; give it with --image")


def _remark(trace: Trace, photo: Photo) -> None:
    """Tells what should be known of the photo, apart from what the trace's own notes say."""
    if _another(trace, photo):
        note(f"{photo.name}: not the file that the trace was made from")
    for remark in photo.remarks:
        if trace.image is None or remark not in trace.image.remarks:
            note(f"{photo.name}: {remark}")


def _another(trace: Trace, photo: Photo) -> bool:
    known = trace.image.sha256 if trace.image else None
    return known is not None and photo.sha256 is not None and known != photo.sha256
