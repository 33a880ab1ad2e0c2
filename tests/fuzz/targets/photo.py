"""Photos of every kind that is read, with profiles, EXIF and several pages."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from picture_files import ADOBE, P3, cmyk_profile, grey_profile, png, rgb_profile
from PIL import Image

from fuzz.mutate import raw
from fuzz.target import Target

MOST = 10_000_000
"""Pixels: what claims more is refused, and what claims less has to be read in time."""


def seeds(folder: Path) -> Sequence[bytes]:
    y, x = np.mgrid[:24, :32]
    pixels = np.stack([x * 8, y * 10, (x + y) * 4], axis=-1).astype(np.uint8)
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    clear = Image.fromarray(np.dstack([pixels, pixels[..., :1]]))
    return [
        *_jpegs(image, exif),
        *_by_pillow(image, clear, exif),
        png(pixels.astype(int) * 257, 16, 2, tRNS=struct.pack(">HHH", 257, 0, 0), gAMA=struct.pack(">I", 50_000)),
        png(pixels[..., 0] // 16, 4, 0, tRNS=b"\0\3", cICP=bytes((12, 13, 0, 1))),
        png(pixels[..., 0].astype(int) * 257, 16, 0, tRNS=b"\0\0", iCCP=b"p\0\0" + zlib.compress(grey_profile(1.8))),
        *_tiffs(pixels),
    ]


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _jpegs(image: Image.Image, exif: Image.Exif) -> list[bytes]:
    return [
        _encoded(image, "JPEG", exif=exif, icc_profile=rgb_profile(P3)),
        _encoded(image, "JPEG", progressive=True, restart_marker_blocks=2),
        _encoded(image.convert("CMYK"), "JPEG", icc_profile=cmyk_profile()),
        _encoded(image.convert("L"), "JPEG", icc_profile=grey_profile(1.0)),
    ]


def _by_pillow(image: Image.Image, clear: Image.Image, exif: Image.Exif) -> list[bytes]:
    import pillow_heif

    heif = io.BytesIO()
    pillow_heif.from_pillow(image).save(heif, quality=50)
    frames = [image, image.transpose(Image.Transpose.ROTATE_180)]
    return [
        _encoded(image, "PNG", icc_profile=rgb_profile(ADOBE), exif=exif),
        _encoded(image.quantize(16), "PNG", transparency=b"\0\x80\xff"),
        _encoded(clear, "WEBP", icc_profile=rgb_profile(P3), exif=exif, lossless=True),
        _encoded(image, "WEBP", save_all=True, append_images=frames),
        _encoded(image, "GIF", save_all=True, append_images=frames, disposal=2),
        _encoded(image, "BMP"),
        _encoded(image.quantize(16), "BMP"),
        _encoded(image, "AVIF", quality=50, exif=exif),
        heif.getvalue(),
    ]


def _tiffs(pixels: np.ndarray) -> list[bytes]:
    import tifffile

    kinds: list[tuple[np.ndarray, dict[str, Any]]] = [
        (pixels, {"compression": "lzw", "predictor": True, "iccprofile": rgb_profile(P3)}),
        (np.moveaxis(pixels.astype(np.uint16) * 257, -1, 0), {"planarconfig": "separate", "byteorder": ">"}),
        (pixels.astype(np.float32) / 255, {"compression": "deflate", "tile": (16, 16), "bigtiff": True}),
        (pixels[..., 0], {"photometric": "miniswhite", "compression": "packbits"}),
        (pixels[..., 0].astype(np.int32) - 50, {"photometric": "minisblack"}),
    ]
    made = []
    for values, options in kinds:
        out = io.BytesIO()
        tifffile.imwrite(out, values, **{"photometric": "rgb", "metadata": None, **options})
        made.append(out.getvalue())
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as file:  # as cameras write it
        file.write(
            pixels[::2, ::2], photometric="rgb", subfiletype=1, subifds=2, extratags=[(50706, 1, 4, b"\1\4\0\0", True)]
        )
        file.write(pixels[..., 0].astype(np.uint16), photometric="cfa")
        file.write(
            np.kron(pixels, np.ones((12, 12, 1), np.uint8)), photometric="rgb", subfiletype=1, compression="jpeg"
        )
    return [*made, out.getvalue()]


def damaged(random: Random, data: bytes) -> bytes:
    """Bytes changed anywhere, more often near the beginning, where headers are; PNGs with their sums put right."""
    head = random.choice((len(data), 64, 400))
    changed = raw(random, data[:head]) + data[head:]
    return _summed(changed) if changed.startswith(b"\x89PNG") and random.random() < 0.8 else changed


def _summed(data: bytes) -> bytes:
    """A PNG with the checksums that its chunks should have, so that what is in them is looked at."""
    out, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        size = struct.unpack_from(">I", data, at)[0]
        body = data[at + 4 : at + 8 + size]
        out += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + size
    return bytes(out)


def read(path: Path) -> None:
    from attnviz.photo.glance import peek, small
    from attnviz.photo.image import load

    peek(path)
    small(path, 40, MOST)
    photo = load(path, max_pixels=MOST)
    assert photo.pixels.shape == (*photo.size, 3)
    assert photo.pixels.dtype == np.uint8


TARGET = Target("", seeds, read, damaged)
