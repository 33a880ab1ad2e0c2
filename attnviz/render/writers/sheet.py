"""The overview: all words in one picture, `overview.png`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from attnviz.render.overview import Overview
from attnviz.render.writers._png import Encoder
from attnviz.render.writers.base import Job

if TYPE_CHECKING:
    from attnviz.render.pictures import Pictures


def jobs(pictures: Pictures) -> Iterator[Job]:
    """`overview.png`."""
    yield Job("overview.png", lambda stream: write(pictures, stream))


def write(pictures: Pictures, stream: BinaryIO) -> None:
    """Writes the sheet."""
    pixels = Overview(pictures).draw()
    Encoder(pixels).write(pixels, stream)
