"""`draw` fills a folder, `write` a stream."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Unpack

from attnviz._version import __version__
from attnviz.errors import ConfigError
from attnviz.photo.image import Photo, Source, load
from attnviz.render.folder import Folder, output_errors, way_to
from attnviz.render.names import endings
from attnviz.render.options import DrawKeywords, DrawOptions, options_from
from attnviz.render.parallel import ordered
from attnviz.render.pictures import Pictures
from attnviz.render.writers import WRITERS, Job, Writer
from attnviz.trace.file import dumps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from attnviz.trace import Trace

FORMATS = ("png", "gif", "overview")


def draw(
    trace: Trace,
    image: Source | Photo | Any,
    out: str | os.PathLike[str],
    *,
    formats: Sequence[str] = FORMATS,
    compare: Sequence[Trace] = (),
    photo_path: str | None = None,
    **options: Unpack[DrawKeywords],
) -> list[Path]:
    """Draws a trace into a folder: pictures and animations, `trace.npz` and `summary.json`.

    What an earlier run wrote there is replaced; nothing else in the folder is touched. When something fails, the
    folder is as it was. The same input gives the same bytes.

    Args:
        trace: what to draw.
        image: the photo, as `attnviz.photo.image.load` takes it (a path, bytes, a PIL image, an array), or a Photo.
        out: the folder.
        formats: names in WRITERS.
        compare: traces of the same photo and words, of other modes or models: the overview has a row for each,
            animations show them side by side, the page ("html") holds all, and stills have a file for each.
        photo_path: where the photo lies, for an `image` that is no path; the summary keeps the way to it.
        options: the fields of DrawOptions.

    Returns:
        The files written, the summary last.

    Raises:
        ConfigError: an unknown format or option, or a value that cannot be used.
        ImageError: a photo that cannot be read, or of another shape than the traced one.
        OutputError: a folder or file that cannot be written.
        TraceError: a trace without steps.
    """
    writers = [_writer(name) for name in ([formats] if isinstance(formats, str) else dict.fromkeys(formats))]
    chosen = options_from(DrawOptions, options, "draw")
    pictures = _pictures(trace, image, chosen, compare)
    with Folder(out) as folder:
        for writer in writers:
            _run(folder, list(writer.jobs(pictures)), chosen.threads)
        for ending, one in zip(endings(pictures.names), (trace, *compare), strict=True):
            folder.write(f"trace{ending}.npz", partial(_save, one))
        source = photo_path or (os.fspath(image) if isinstance(image, str | os.PathLike) else None)
        way = None if source is None else way_to(source, folder.path)
        return folder.commit(
            {
                "attnviz": __version__,
                "trace": chosen.told(trace).summary(),
                "options": chosen.to_dict(),
                **({} if way is None else {"photo": way}),
            }
        )


def write(
    trace: Trace,
    image: Source | Photo | Any,
    stream: BinaryIO,
    *,
    format: str = "gif",
    compare: Sequence[Trace] = (),
    **options: Unpack[DrawKeywords],
) -> None:
    """Draws a trace as one file, to a binary stream such as standard output.

    Args:
        trace, image, compare, options: as for `draw`.
        stream: gets the file; it need not be seekable.
        format: a name in WRITERS. Stills, such as "png", are a file for each step, so `steps` must choose one.

    Raises:
        AttnvizError: as for `draw`.
        BrokenPipeError: whoever reads the stream has closed it.
    """
    _writer(format)  # before anything is drawn
    job = single_job(_pictures(trace, image, options_from(DrawOptions, options, "draw"), compare), format)
    with output_errors("output"):
        job.write(stream)


def single_job(pictures: Pictures, format: str) -> Job:
    """The one file of a format. Raises ConfigError for an unknown format, or one that would be several files."""
    jobs = list(_writer(format).jobs(pictures))
    if len(jobs) != 1:
        raise ConfigError(f"{format}: would be {len(jobs)} files; choose one step, and one mode")
    return jobs[0]


def _save(trace: Trace, stream: BinaryIO) -> None:
    stream.write(dumps(vars(trace)))


def _run(folder: Folder, jobs: list[Job], threads: int | None) -> None:
    if len(jobs) == 1:  # it uses threads itself
        folder.write(jobs[0].name, jobs[0].write)
        return
    for job in jobs:
        folder.reserve(job.name)
    for _ in ordered(lambda job: folder.write(job.name, job.write), jobs, threads):
        pass


def _pictures(trace: Trace, image: Any, options: DrawOptions, compare: Sequence[Trace]) -> Pictures:
    photo = image if isinstance(image, Photo) else load(image)
    return Pictures(options.shown(trace), photo, options, [options.shown(other) for other in compare])


def _writer(name: str) -> Writer:
    if name not in WRITERS:
        raise ConfigError(f"format: {name!r} is none of {', '.join(WRITERS)}")
    return WRITERS[name]
