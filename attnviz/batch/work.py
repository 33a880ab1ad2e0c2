"""What is done with each photo, apart from who does it when: decoding, and describing in batches."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnviz.batch.jobs import Answer, Job, errno_of, reason
from attnviz.batch.listed import UNKNOWN, Stamp
from attnviz.batch.record import DONE, FAILED, Record
from attnviz.errors import AttnvizError, ImageError, OutputError, one_line
from attnviz.network import describe_rows
from attnviz.photo.glance import peek
from attnviz.photo.image import load
from attnviz.render.pictures import resized

if TYPE_CHECKING:
    from attnviz.batch.listed import Listed
    from attnviz.batch.outs import Out
    from attnviz.batch.sources import Source
    from attnviz.network import Asked, Network, Prepared
    from attnviz.photo.image import Pixels
    from attnviz.trace import Trace

BATCH = 8
"""Photos that a network is given at once."""

HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors that every further photo would meet too: the disk is full or can no longer be written."""

DECODING = 9
"""Bytes that a pixel takes while it is decoded: as the file has it, upright, and as RGB."""


@dataclass(frozen=True)
class Work:
    """What is done with every photo.

    Attributes:
        models: the first writes the words and is drawn; a page compares the others with it.
        source, out: where the photos come from and the results go.
        staging: the folder of results that are not finished.
        asked: of the first; the others read its words.
        layer_rows: choices of layers of the first, to be shown side by side; () for the one that is asked for.
        formats, drawing, size: as for `attnviz.draw`; `size` is the longest side, None for the photo's own.
        settings: hash of all of it, for the records.
        max_pixels: larger photos are refused.
    """

    models: Sequence[Network]
    source: Source
    out: Out
    asked: Asked
    layer_rows: tuple[str, ...]
    formats: tuple[str, ...]
    drawing: dict[str, Any]
    size: int | None
    settings: str
    max_pixels: int
    staging: Path = Path()


@dataclass(eq=False)
class Item:
    """A photo under way."""

    photo: Listed
    number: int
    held: int = 0  # bytes that are counted for it
    seconds: float = 0.0
    stamp: Stamp = UNKNOWN
    pixels: Pixels | None = None
    inputs: tuple[Prepared, ...] = ()  # one for each network
    traces: tuple[Trace, ...] = ()

    @property
    def name(self) -> str:
        """Of the photo's file, without its folder."""
        return Path(self.photo.path).name

    @property
    def bytes_kept(self) -> int:
        """What it takes once it is decoded."""
        assert self.pixels is not None
        return self.pixels.nbytes + sum(prepared.nbytes for prepared in self.inputs)


def bytes_of(data: bytes, max_pixels: int) -> int:
    """How much memory a photo takes while it is decoded, by its header; none where it will be refused."""
    high, wide = peek(data) or (0, 0)
    return DECODING * high * wide if high * wide <= max_pixels else 0


def fetch(item: Item, work: Work) -> bytes:
    """The bytes of a photo's file.

    Raises:
        ImageError: it cannot be read.
    """
    start = time.perf_counter()
    if item.photo.error is not None:
        raise ImageError(item.photo.error)
    data, item.stamp = work.source.read(item.photo, work.max_pixels)
    item.seconds = time.perf_counter() - start
    return data


def decode(item: Item, data: bytes, work: Work) -> None:
    """Reads a photo and scales it for the network and for the pictures; the whole photo is not kept.

    Raises:
        ImageError: as `attnviz.photo.image.load` does.
    """
    start = time.perf_counter()
    photo = load(data, max_pixels=work.max_pixels, name=item.name)
    item.inputs = tuple(model.prepare(photo, work.asked) for model in work.models)
    item.pixels = resized(photo.pixels, work.size)
    item.seconds += time.perf_counter() - start


def why(item: Item, work: Work, error: Exception) -> str:
    """What is wrong with a photo, without its name in front."""
    told = reason(error)
    for name in (f"{work.source.name}/{item.photo.path}", item.photo.origin or item.name, item.name):
        told = told.removeprefix(f"{AttnvizError(name)}: ")
    return told


def described(work: Work, inputs: Sequence[tuple[Prepared, ...]]) -> list[list[Trace]]:
    """For each row the traces of all photos: of each network, the first of which writes the words that the others read,
    or of each choice of layers.
    """
    if work.layer_rows:
        rows = describe_rows(work.models[0], [of_one[0] for of_one in inputs], work.asked, work.layer_rows)
        return [list(column) for column in zip(*rows, strict=True)]
    columns: list[list[Trace]] = []
    for model, prepared in zip(work.models, zip(*inputs, strict=True), strict=True):
        asked = work.asked
        if columns and asked.text is None:
            asked = replace(asked, text=tuple(trace.caption for trace in columns[0]))
        columns.append(model.describe(prepared, asked))
    return columns


def job_of(item: Item, staged: Path, work: Work) -> Job:
    """What a drawing process needs of a photo that is described."""
    assert item.pixels is not None
    return Job(item.traces, item.pixels, item.name, staged, work.formats, work.drawing)


def finished(item: Item, answer: Answer, staged: Path, work: Work) -> Record:
    """The record of a photo that is drawn, once its results are in place.

    Raises:
        OutputError: what every further photo would meet too, such as a full disk.
    """
    if answer.errno in HOPELESS:
        raise OutputError(f"{work.out}: {answer.error}")
    if answer.error is not None:
        # In the words of the one that drew it, which only knows the hidden folder where results are made.
        drawn, meant = (one_line(str(path)) for path in (staged, work.out.at(item.photo.folder)))
        return failure(item, answer.error.replace(drawn, meant), work)
    try:
        work.out.place(staged, item.photo.folder, answer.files)
    except AttnvizError as error:
        if errno_of(error) in HOPELESS:
            raise
        return failure(item, str(error), work)
    trace = item.traces[0]
    return Record(
        path=item.photo.path,
        state=DONE,
        caption=trace.caption,
        folder=item.photo.folder,
        files=answer.files,
        probability=probability(trace),
        entropy=entropy(trace),
        sha256=trace.image.sha256 if trace.image else None,
        size=item.stamp.size,
        mtime_ns=item.stamp.mtime_ns,
        etag=item.stamp.etag,
        summary=answer.summary,
        settings=work.settings,
        seconds=round(item.seconds + answer.seconds, 3),
        remarks=trace.image.remarks if trace.image else (),
    )


def failure(item: Item, told: str, work: Work) -> Record:
    """The record of a photo that failed."""
    return Record(item.photo.path, FAILED, settings=work.settings, seconds=round(item.seconds, 3), error=told)


def probability(trace: Trace) -> float | None:
    """The geometric mean of the words' probabilities; None where they are not known."""
    if trace.logprobs is None or not len(trace):
        return None
    return round(min(math.exp(float(trace.logprobs.mean())), 1.0), 6)


def entropy(trace: Trace) -> float | None:
    """The mean entropy of the words' attention, in nats; None without words."""
    return round(sum(step.entropy for step in trace.steps) / len(trace), 6) if len(trace) else None
