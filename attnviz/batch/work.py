"""What is done with each photo, apart from who does it when: decoding, and describing in batches."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnviz.batch.jobs import reason
from attnviz.errors import AttnvizError, ImageError
from attnviz.network import describe_rows
from attnviz.photo.glance import peek
from attnviz.photo.image import load
from attnviz.render.pictures import resized

if TYPE_CHECKING:
    from attnviz.batch.listing import Listed
    from attnviz.network import Asked, Network, Prepared
    from attnviz.photo.image import Pixels
    from attnviz.trace import Trace

BATCH = 8
"""Photos that a network is given at once."""

DECODING = 9
"""Bytes that a pixel takes while it is decoded: as the file has it, upright, and as RGB."""


@dataclass(frozen=True)
class Work:
    """What is done with every photo.

    Attributes:
        models: the first writes the words and is drawn; a page compares the others with it.
        top, out, staging: the folders of the photos, of the results, and of results that are not finished.
        asked: of the first; the others read its words.
        layer_rows: choices of layers of the first, to be shown side by side; () for the one that is asked for.
        formats, drawing, size: as for `attnviz.draw`; `size` is the longest side, None for the photo's own.
        settings: hash of all of it, for the records.
        max_pixels: larger photos are refused.
        processes: how many draw.
    """

    models: Sequence[Network]
    top: Path
    out: Path
    staging: Path
    asked: Asked
    layer_rows: tuple[str, ...]
    formats: tuple[str, ...]
    drawing: dict[str, Any]
    size: int | None
    settings: str
    max_pixels: int
    processes: int


@dataclass(eq=False)
class Item:
    """A photo under way."""

    photo: Listed
    number: int
    held: int  # bytes that are counted for it
    seconds: float = 0.0
    stamp: tuple[int, int] = (0, 0)  # size and time of change of the file
    pixels: Pixels | None = None
    inputs: tuple[Prepared, ...] = ()  # one for each network
    traces: tuple[Trace, ...] = ()

    @property
    def bytes_kept(self) -> int:
        """What it takes once it is decoded."""
        assert self.pixels is not None
        return self.pixels.nbytes + sum(prepared.nbytes for prepared in self.inputs)


def bytes_of(path: Path, max_pixels: int) -> int:
    """How much memory a photo takes while it is decoded, by its header; none where it will be refused."""
    high, wide = peek(path) or (0, 0)
    return DECODING * high * wide if high * wide <= max_pixels else 0


def decode(item: Item, path: Path, work: Work) -> None:
    """Reads a photo and scales it for the network and for the pictures; the whole photo is not kept.

    Raises:
        ImageError: as `attnviz.photo.image.load` does.
    """
    start = time.perf_counter()
    if item.photo.error is not None:
        raise ImageError(item.photo.error)
    status = path.stat() if path.exists() else None
    photo = load(path, max_pixels=work.max_pixels)
    if status is not None:
        item.stamp = (status.st_size, status.st_mtime_ns)
    item.inputs = tuple(model.prepare(photo, work.asked) for model in work.models)
    item.pixels = resized(photo.pixels, work.size)
    item.seconds = time.perf_counter() - start


def why(path: Path, error: Exception) -> str:
    """What is wrong with a photo, without its name in front."""
    if path.is_symlink() and not path.exists():
        return "is a link to a file that is not there; mend or remove the link"
    return reason(error).removeprefix(f"{AttnvizError(str(path))}: ")


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
