"""PNG: its transparent colour at the depth of the file; Pillow compares at 8 bits, whatever the depth."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image


def with_alpha(image: Image.Image, data: bytes) -> Image.Image:
    """An image that Pillow has opened, so that its transparency holds; with more than 8 bits a channel, as RGBA.

    Args:
        data: its file.
    """
    transparent: Any = image.info.get("transparency")
    depth = data[24]
    if isinstance(transparent, int) and depth in (2, 4):  # which Pillow spreads over 8 bits
        image.info["transparency"] = transparent * 255 // (2**depth - 1)
    if not isinstance(transparent, tuple) or depth != 16:
        return image
    from PIL import Image, ImageFile

    low: Any = Image.open(io.BytesIO(data), formats=["PNG"])
    assert isinstance(low, ImageFile.ImageFile)
    # The low bytes, which Pillow drops: the same numbers, read as if their order were the other one.
    low.tile = [tile._replace(args="RGB;16L") for tile in low.tile]
    clear = np.ones((image.height, image.width), np.bool_)
    for number, high, rest in zip(transparent, image.split(), low.split(), strict=True):
        clear &= (np.asarray(high) == number >> 8) & (np.asarray(rest) == number & 255)
    del image.info["transparency"]
    image.putalpha(Image.fromarray(np.where(clear, np.uint8(0), np.uint8(255))))
    return image
