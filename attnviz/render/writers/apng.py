"""APNG: a PNG that moves, in full colour. Programs that know only PNG show its first frame."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

from attnviz.render.overlay import Bytes, box
from attnviz.render.parallel import ordered
from attnviz.render.writers._png import Encoder, chunk, header
from attnviz.render.writers.base import Job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attnviz.render.pictures import Pictures

Frame = tuple[tuple[int, int], Bytes, int]


def jobs(pictures: Pictures) -> Iterator[Job]:
    """`attention.apng`."""
    yield Job("attention.apng", lambda stream: write(pictures, stream))


def write(pictures: Pictures, stream: BinaryIO) -> None:
    """Writes the animation; after the first frame, only the rectangle that changed."""
    size = pictures.empty_still.shape[:2]
    encoder = Encoder(pictures.empty_still)
    count = len(pictures.stills)
    stream.write(header((size[0], size[1])))
    stream.write(chunk(b"acTL", struct.pack(">II", count, 0 if pictures.options.loop else 1)))
    sequence = 0
    encoded = ordered(lambda frame: (frame, encoder.idat(frame[1])), _frames(pictures), pictures.options.threads)
    for number, (((top, left), part, milliseconds), data) in enumerate(encoded):
        height, width = part.shape[:2]
        # Kept as it is for the next frame (0), and replacing what was there (0).
        control = struct.pack(">IIIIIHHBB", sequence, width, height, left, top, milliseconds // 10, 100, 0, 0)
        stream.write(chunk(b"fcTL", control))
        if number == 0:
            stream.write(chunk(b"IDAT", data))
            sequence += 1
        else:
            stream.write(chunk(b"fdAT", struct.pack(">I", sequence + 1) + data))
            sequence += 2
    stream.write(chunk(b"IEND", b""))


def _frames(pictures: Pictures) -> Iterator[Frame]:
    """(top, left), pixels and milliseconds of each frame's changed rectangle; the whole picture at first."""
    before: Bytes | None = None
    threads = pictures.options.threads
    for still, after in zip(pictures.stills, ordered(pictures.still, pictures.stills, threads), strict=True):
        if before is None:
            yield (0, 0), after, still.milliseconds
        else:
            changed = (before != after).any(axis=2)
            if not changed.any():
                changed[0, 0] = True  # a frame has at least a pixel
            rows, columns = box(changed)
            yield (rows.start, columns.start), after[rows, columns], still.milliseconds
        before = after
