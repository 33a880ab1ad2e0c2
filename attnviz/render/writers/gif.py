"""GIF: one palette for all frames, and of each frame only what changed.

Shades are smoothed by a fixed pattern (see _palette.py), not by passing errors on to neighbours. So a pixel that keeps
its colour keeps its index, and nothing flickers where the model does not look.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from attnviz.errors import ConfigError
from attnviz.render.overlay import box
from attnviz.render.parallel import ordered
from attnviz.render.strip import strip_colours
from attnviz.render.writers._palette import CLEAR, PATTERN, ROWS, Palette, flat, flat_part, keys_of
from attnviz.render.writers.base import Job

if TYPE_CHECKING:
    from attnviz.render.pictures import Pictures, Still

Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.uint32]
Place = tuple[slice, slice]

MAX_SIDE = 65_535
RARE = 0.001  # of a photo: less of it being flat is chance
SAMPLES = 40_000  # pixels that choose the palette


def jobs(pictures: Pictures) -> Iterator[Job]:
    """`attention.gif`."""
    yield Job("attention.gif", lambda stream: write(pictures, stream))


def write(pictures: Pictures, stream: BinaryIO) -> None:
    """Writes the animation.

    Raises:
        ConfigError: the picture is larger than a GIF can be.
    """
    height, width = pictures.empty_still.shape[:2]
    if max(height, width) > MAX_SIDE:
        raise ConfigError(f"gif: a side of {max(height, width)} pixels is more than {MAX_SIDE}; give a smaller size")
    threads = pictures.options.threads
    indexer = Indexer(pictures)
    stream.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF7, 0, 0))  # 256 colours for all frames
    stream.write(indexer.palette.colours.tobytes())
    if pictures.options.loop:
        stream.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")

    def pairs() -> Iterator[tuple[Bytes | None, Bytes, int]]:
        before = None
        for still, after in zip(pictures.stills, ordered(indexer.indices, pictures.stills, threads), strict=True):
            yield before, after, still.milliseconds
            before = after

    for block in ordered(_frame, pairs(), threads):
        stream.write(block)
    stream.write(b"\x3b")


class Indexer:
    """Turns the frames of an animation into indices of one palette.

    A pixel's index depends on its colour, on its place, and on whether it is part of a flat area: of the photo, as long
    as nothing is painted there, so that nothing flickers around what is painted, and else of the frame.
    """

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        self.palette = Palette.of(pictures.samples(SAMPLES), strip_colours(pictures.legend))
        empty = pictures.empty_still
        self._keys = keys_of(empty)
        self._flats = [flat(self._keys[place]) for place in pictures.film.places]
        # Of a photo without flat areas, no frame has any worth looking for.
        self._plain = float(self._flats[0].mean()) < RARE
        # A frame where nothing is painted and no word is written: where others are like it, so are their indices.
        self._empty = np.empty(empty.shape[:2], np.uint8)
        self._fill(self._empty, empty, self._keys, np.ones(empty.shape[:2], np.bool_))

    def indices(self, still: Still) -> Bytes:
        """(H, W) uint8 of a frame."""
        pixels = self._pictures.still(still)
        keys = keys_of(pixels)
        out = self._empty.copy()
        self._fill(out, pixels, keys, keys != self._keys)
        return out

    def _fill(self, out: Bytes, pixels: Bytes, keys: Keys, changed: Bools) -> None:
        """Writes the indices of the pixels that are no longer those of the empty frame, and of some beside them."""
        for number, place in enumerate(self._pictures.film.places):
            for part in _parts(changed[place]):
                out[place][part] = self.palette.dithered(pixels[place][part])
                if not self._plain:
                    self._flatten(out[place], keys[place], number, part)
        # The strip, names and margins hold few colours, many of them flat.
        for margin in self._pictures.film.margins:
            part = box(changed[margin])
            out[margin][part] = self.palette.exact(keys[margin][part])

    def _flatten(self, out: Bytes, keys: Keys, number: int, part: Place) -> None:
        """In a part of a panel, gives the pixels of flat areas the colours nearest to their own."""
        place = self._pictures.film.places[number]
        found = np.where(keys[part] == self._keys[place][part], self._flats[number][part], flat_part(keys, part))
        out[part][found] = self.palette.exact(keys[part][found])


def _parts(changed: Bools) -> Iterator[Place]:
    """What of a mask is True, in rectangles: one a band of rows, each beginning with the pattern of the dithering."""
    for top in range(0, changed.shape[0], ROWS):
        rows, columns = box(changed[top : top + ROWS])
        if rows.stop:
            start = columns.start - columns.start % len(PATTERN)
            yield slice(top, top + rows.stop), slice(start, columns.stop)


def _frame(pair: tuple[Bytes | None, Bytes, int]) -> bytes:
    """A frame's control extension, descriptor and data: the rectangle that changed, clear where it did not."""
    before, after, milliseconds = pair
    top, left = 0, 0
    part = after
    if before is not None:
        changed = before != after
        if not changed.any():
            changed[0, 0] = True  # a frame has at least a pixel
        rows, columns = box(changed)
        top, left = rows.start, columns.start
        part = np.where(changed[rows, columns], after[rows, columns], np.uint8(CLEAR))
    height, width = part.shape
    flags = 0b100 if before is None else 0b101  # keep the picture; with clear pixels from the second frame on
    control = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, flags, milliseconds // 10, CLEAR, 0)
    return control + struct.pack("<BHHHHB", 0x2C, left, top, width, height, 0) + lzw(part)


def lzw(indices: Bytes) -> bytes:
    """(H, W) indices as GIF image data, by Pillow: a GIF of one grey frame, without what stands around the data."""
    out = io.BytesIO()
    Image.fromarray(indices).save(out, "GIF", optimize=False, interlace=0)
    data = out.getbuffer()
    at = 13 + 3 * (2 << (data[10] & 7) if data[10] & 0x80 else 0)  # past the header and its colours
    while data[at] == 0x21:  # past extensions
        at += 2
        while data[at]:
            at += data[at] + 1
        at += 1
    flags = data[at + 9]
    at += 10 + 3 * (2 << (flags & 7) if flags & 0x80 else 0)
    return bytes(data[at:-1])
