"""A look at a photo that is cheaper than reading it: its size, or a thumbnail."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np

from attnviz.photo import kinds, tiff
from attnviz.photo.decode import Limits, Pixels, decode, opened_heic
from attnviz.photo.quiet import quiet

MOST_PIXELS = 400_000_000
"""Of what is to become small: who asks has read the photo under a limit of their own, if it has not changed."""

_HEADER = 64  # bytes that tell a file's kind


def peek(source: str | os.PathLike[str] | bytes) -> tuple[int, int] | None:
    """(H, W) as the header of an image file has it, before any rotation; None where there is no such header.

    Args:
        source: a path, or the bytes of the file.
    """
    from PIL import Image

    try:
        with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
            start = file.read(_HEADER)
            if (size := kinds.canvas(start)) is not None:
                return size
            file.seek(0)
            match kinds.kind_of(start):
                case None:
                    return None
                case "TIFF":
                    return tiff.size_of(file.read())
                case "HEIC":
                    with opened_heic(file.read()) as image:
                        width, height = image.size
                case kind:
                    with quiet(), Image.open(file, formats=[kind.upper()]) as image:
                        width, height = image.size
    except Exception:  # `load` will say what is wrong
        return None
    return height, width


def small(source: str | os.PathLike[str] | bytes, longest: int, max_pixels: int = MOST_PIXELS) -> Pixels | None:
    """(H, W, 3) uint8: a photo with a longest side of at most so many pixels; None where it cannot be read any more.

    It is decoded no larger than it need be.

    Args:
        source: a path, or the bytes of the file.
        max_pixels: a larger photo counts as one that cannot be read.
    """
    from PIL import Image

    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        pixels, _ = decode(data, Limits("photo", max_pixels), least=2 * longest)
        image = Image.fromarray(pixels)
        image.thumbnail((longest, longest), reducing_gap=2.0)
        return np.asarray(image)
    except Exception:  # the photo may have been changed or removed meanwhile
        return None


def for_the_web(pixels: Pixels, longest: int, quality: int) -> tuple[bytes, str]:
    """A picture file of (H, W, 3) pixels, made smaller where need be, and its kind.

    The kind is "webp", or "jpeg" where Pillow cannot write that.
    """
    from PIL import Image, features

    image = Image.fromarray(pixels)
    image.thumbnail((longest, longest), reducing_gap=2.0)
    kind = "webp" if features.check("webp") else "jpeg"
    out = io.BytesIO()
    image.save(out, kind.upper(), quality=quality)
    return out.getvalue(), kind
