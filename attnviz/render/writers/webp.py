"""Animated WebP: smaller than the others, for the web."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image, features

from attnviz.errors import ConfigError
from attnviz.render.parallel import ordered
from attnviz.render.writers.base import Job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attnviz.render.pictures import Pictures

MAX_SIDE = 16_383
QUALITY = 85
METHOD = 2  # 0 is the fastest, 6 the smallest; more than 2 takes longer than it saves


def jobs(pictures: Pictures) -> Iterator[Job]:
    """`attention.webp`."""
    require()
    yield Job("attention.webp", lambda stream: write(pictures, stream))


def require() -> None:
    """Raises ConfigError unless Pillow was built with WebP."""
    if not features.check("webp"):
        raise ConfigError("webp: this build of Pillow cannot write it; install Pillow with WebP, or choose gif")


def write(pictures: Pictures, stream: BinaryIO) -> None:
    """Writes the animation.

    Raises:
        ConfigError: the picture is larger than a WebP can be, or Pillow was built without WebP.
    """
    require()
    longest = max(pictures.empty_still.shape)
    if longest > MAX_SIDE:
        raise ConfigError(f"webp: a side of {longest} pixels is more than {MAX_SIDE}; give a smaller size")
    images = (Image.fromarray(pixels) for pixels in ordered(pictures.still, pictures.stills, pictures.options.threads))
    out = io.BytesIO()  # Pillow wants a seekable file
    next(images).save(
        out,
        "WEBP",
        save_all=True,
        append_images=images,
        duration=[still.milliseconds for still in pictures.stills],
        loop=0 if pictures.options.loop else 1,
        quality=QUALITY,
        method=METHOD,
    )
    stream.write(out.getbuffer())
