"""GIF: one palette for all frames, and of each frame only what changed.

Every colour is mapped by itself, with no dithering, so a pixel that keeps its colour keeps its index: nothing flickers
where the model does not look.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from attnviz.errors import ConfigError
from attnviz.render.parallel import ordered
from attnviz.render.pictures import Pictures, Still
from attnviz.render.writers.base import Job

Bytes = npt.NDArray[np.uint8]

CLEAR = 255  # the palette's last entry: "as in the frame before"
SAMPLES = 40_000  # pixels that choose the palette
SAMPLED_FRAMES = 6
MAX_SIDE = 65_535


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
    stream.write(bytes(palette.getpalette()[: 3 * CLEAR]) + bytes(3))
    if pictures.options.loop:
        stream.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")

    def indexed(still: Still) -> Bytes:
        return to_indices(pictures.still(still), palette)

    def pairs() -> Iterator[tuple[Bytes | None, Bytes, int]]:
        before = None
        for still, after in zip(pictures.stills, ordered(indexed, pictures.stills, threads), strict=True):
            yield before, after, still.milliseconds
            before = after

    for block in ordered(_frame, pairs(), threads):
        stream.write(block)
    stream.write(b"\x3b")


def choose_palette(pictures: Pictures) -> Image.Image:
    """A "P" picture with 255 colours, chosen from the photo and from frames spread over the animation."""
    stills = [still for still in pictures.stills if still.share == 1]
    shown = stills[:: max(1, -(-len(stills) // SAMPLED_FRAMES))]
    frames = [pictures.empty_still, *ordered(pictures.still, shown, pictures.options.threads)]
    stride = max(1, round((sum(frame.shape[0] * frame.shape[1] for frame in frames) / SAMPLES) ** 0.5))
    samples = np.concatenate([frame[stride // 2 :: stride, stride // 2 :: stride].reshape(-1, 3) for frame in frames])
    return Image.fromarray(samples[None]).quantize(CLEAR, Image.Quantize.MEDIANCUT)


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
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        if rows.size == 0:
            rows = columns = np.zeros(1, np.intp)
        top, left = int(rows[0]), int(columns[0])
        box = slice(top, int(rows[-1]) + 1), slice(left, int(columns[-1]) + 1)
        part = np.where(changed[box], after[box], np.uint8(CLEAR))
    height, width = part.shape
    control = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, 0b101 if before is not None else 0b100, milliseconds // 10, CLEAR, 0)
    return control + struct.pack("<BHHHHB", 0x2C, left, top, width, height, 0) + lzw(part)


def lzw(indices: Bytes) -> bytes:
    """(H, W) indices as GIF image data, by Pillow: a one-frame GIF of greys, without all that stands around the data."""
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
