"""PNG: one picture a step."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from attnviz.render.names import step_name
from attnviz.render.writers._png import Encoder, chunk, header
from attnviz.render.writers.base import Job

if TYPE_CHECKING:
    from attnviz.render.pictures import Pictures


def jobs(pictures: Pictures) -> Iterator[Job]:
    """One file a drawn step, `step-00-a.png` and so on."""
    encoder = Encoder(pictures.empty_picture)
    for index, step in enumerate(pictures.steps):
        name = step_name(step, pictures.trace.tokens[step], len(pictures.trace.tokens), ".png")
        yield Job(name, partial(_write, pictures, encoder, index))


def _write(pictures: Pictures, encoder: Encoder, index: int, stream: BinaryIO) -> None:
    pixels = pictures.picture(index)
    stream.write(header((pixels.shape[0], pixels.shape[1])))
    stream.write(chunk(b"IDAT", encoder.idat(pixels)))
    stream.write(chunk(b"IEND", b""))
