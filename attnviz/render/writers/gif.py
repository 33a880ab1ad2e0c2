"""GIF: one palette for all frames, and of each frame only what changed.

A pixel's index depends on its colour and its place alone: shades are smoothed by a fixed pattern (ordered dithering),
not by passing errors on to neighbours. So a pixel that keeps its colour keeps its index, and nothing flickers where
the model does not look.
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
from attnviz.render.writers.base import Job

if TYPE_CHECKING:
    from attnviz.render.pictures import Pictures, Still

Bytes = npt.NDArray[np.uint8]

CLEAR = 255  # the palette's last entry: "as in the frame before"
SAMPLES = 40_000  # pixels that choose the palette
MAX_SIDE = 65_535
DITHER = 8  # of 255: about the distance of neighbouring colours in a palette; more would be seen as a pattern


def bayer(order: int) -> npt.NDArray[np.float64]:
    """(2^order, 2^order): the threshold matrix of ordered dithering, evenly spread within 0 to 1 (Bayer, 1973)."""
    matrix = np.zeros((1, 1))
    for _ in range(order):
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return (matrix + 0.5) / matrix.size


PATTERN = bayer(3)


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
    palette = choose_palette(pictures)
    stream.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF7, 0, 0))  # 256 colours for all frames
    stream.write(bytes(palette.getpalette() or ()))
    if pictures.options.loop:
        stream.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")

    def indexed(still: Still) -> Bytes:
        pixels = pictures.still(still)
        dither(pixels[pictures.place])
        return to_indices(pixels, palette)

    def pairs() -> Iterator[tuple[Bytes | None, Bytes, int]]:
        before = None
        for still, after in zip(pictures.stills, ordered(indexed, pictures.stills, threads), strict=True):
            yield before, after, still.milliseconds
            before = after

    for block in ordered(_frame, pairs(), threads):
        stream.write(block)
    stream.write(b"\x3b")


def choose_palette(pictures: Pictures) -> Image.Image:
    """A "P" picture with a palette for all frames: 255 colours and the clear one.

    The strip's colours are set; the rest are chosen from the photo and the overlays by Pillow's octree, which was both
    the truest and the fastest of its methods on our frames.
    """
    fixed = strip_colours(pictures.legend)
    chosen = Image.fromarray(pictures.samples(SAMPLES)[None]).quantize(CLEAR - len(fixed), Image.Quantize.FASTOCTREE)
    colours = np.frombuffer(bytes(chosen.getpalette() or ()), np.uint8).reshape(-1, 3)[: CLEAR - len(fixed)]
    colours = np.concatenate([fixed, colours])
    # Unused entries repeat the first: of equal colours the first is taken, so the clear entry is never met.
    colours = np.concatenate([colours, np.repeat(colours[:1], CLEAR + 1 - len(colours), axis=0)])
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours.tobytes())
    return palette


def dither(pixels: Bytes) -> None:
    """Adds the pattern to (H, W, 3) pixels, in place, from -DITHER / 2 to DITHER / 2, within 0 to 255."""
    width = pixels.shape[1]
    shifts = np.rint((PATTERN - 0.5) * DITHER).astype(np.int8)
    for first, shift in enumerate(shifts):
        rows = pixels[first :: len(shifts)]
        line = np.repeat(np.tile(shift, -(-width // len(shift)))[:width, None], 3, axis=1)  # whole rows are fast
        up, down = np.maximum(line, 0).view(np.uint8), np.maximum(-line, 0).view(np.uint8)
        # In bytes, so clipped before rather than after.
        np.minimum(rows, 255 - up, out=rows)
        np.maximum(rows, down, out=rows)
        rows += up
        rows -= down


def to_indices(pixels: Bytes, palette: Image.Image) -> Bytes:
    """(H, W) uint8: the palette's colour nearest to each pixel."""
    return np.asarray(Image.fromarray(pixels).quantize(palette=palette, dither=Image.Dither.NONE))


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
