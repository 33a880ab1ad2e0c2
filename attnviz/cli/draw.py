"""`attnviz draw`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnviz.cli.delivery import check_output, checked, deliver
from attnviz.cli.options import common_options, drawing_options
from attnviz.cli.output import Report, note
from attnviz.cli.places import result_folders
from attnviz.cli.results import Results
from attnviz.cli.types import File
from attnviz.cli.weights import SOURCE, check_source, trace_of, weights_options
from attnviz.errors import ImageError
from attnviz.files import is_file, is_folder, spelled

if TYPE_CHECKING:
    from attnviz.photo.image import Photo
    from attnviz.trace import Trace


@click.command()
@click.argument("file", metavar="[TRACE.npz|FOLDER]", required=False, type=File())
@click.option(
    "--image",
    metavar="IMAGE|FOLDER",
    type=File(),
    help="The photo, or the folder it is in.  [default: the one the trace names, beside it or a folder up]",
)
@click.option(
    "-o",
    "--out",
    metavar="DIR|FILE",
    type=File(folder=True),
    help="Folder for the results, or one file by its suffix (out.gif, .png, .pdf, ...); - is standard output.",
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
    """Draw a trace or another program's attention, without network.

    TRACE.npz is the file that 'attnviz render' writes, or one of another program in the same format. With --weights,
    any array of attention is drawn: (T, N), (T, h, w) or (L, H, T, N) for T words. The pictures go to the folder
    PHOTO-attention/, named after the photo, and replace those of an earlier run. FOLDER is a folder of results: all its
    traces are drawn again, into it unless -o says another.
    """
    check_source(ctx, file, options)
    source = {name: options.pop(name) for name in SOURCE}
    results = Results() if file is None else Results.read(file)
    target = check_output(ctx, out, formats, 1, as_json, len(results.traces))
    drawing = checked(options)
    traces, photo, path = _load(results, source, max_pixels)
    name = file or source["weights"]
    if not quiet:
        _remark(traces[0], photo)
    into = target.folder or (None if results.folder is None else str(results.folder))
    folder = Path() if target.file else result_folders([photo.name], into)[0]  # a file's own name
    with Report(1, as_json=as_json, quiet=quiet, captions_to_error=target.is_stdout) as report:
        told = traces[0] if drawing["pieces"] else traces[0].joined()
        files = deliver(traces, photo, target, folder, drawing, path)
        report.done(name, told, files, None if target.file else folder)
    return report.status


def _load(results: Results, source: dict[str, Any], max_pixels: int) -> tuple[list[Trace], Photo, str]:
    """The traces to draw, their photo, and its path."""
    from attnviz.photo.image import load

    image = source["image"]
    if not results.traces:
        photo = load(image, max_pixels=max_pixels)
        return [trace_of(photo, source)], photo, image
    traces = results.load()
    if image and is_folder(spelled(image)):
        image = _photo_in(spelled(image), traces[0])
    path = str(image or results.find_photo(traces[0]))
    return traces, load(path, max_pixels=max_pixels), path


def _photo_in(folder: Path, trace: Trace) -> Path:
    """The photo that a trace names, in the folder that was given. Raises ImageError where it is not there."""
    name = "" if trace.image is None else Path(trace.image.name).name
    found = spelled(folder / name)
    if not name or not is_file(found):
        raise ImageError(f"{folder}: holds no photo {name}".rstrip() + "; give the photo itself with --image")
    return found


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
