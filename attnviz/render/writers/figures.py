"""Figures: the photo and a panel for each word, with text that stays text; see `attnviz.figure` for more of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, BinaryIO

from attnviz.photo.image import Photo
from attnviz.render.writers.base import Job

MOST_HEIGHT = 200.0  # inches, as PDF 1.4 has them at most

if TYPE_CHECKING:
    from attnviz.render.pictures import Pictures


def pdfs(pictures: Pictures) -> Iterator[Job]:
    """`attention.pdf`."""
    yield Job("attention.pdf", lambda stream: write(pictures, stream, "pdf"))


def svgs(pictures: Pictures) -> Iterator[Job]:
    """`attention.svg`."""
    yield Job("attention.svg", lambda stream: write(pictures, stream, "svg"))


def write(pictures: Pictures, stream: BinaryIO, kind: str) -> None:
    """Writes the figure, a row for each of compared traces."""
    from attnviz.render.figure import FigureOptions, figure  # matplotlib, which nothing else here needs

    # The traces are joined to words and made relative already, as the options want it.
    own = {field.name for field in fields(FigureOptions) if field.init} - {"relative"}
    drawing = {name: getattr(pictures.options, name) for name in own if hasattr(pictures.options, name)}
    # As high as it has to be: whoever wants pages, or fewer words, asks `attnviz figure`.
    drawing["height"] = MOST_HEIGHT
    photo = Photo(pictures.pixels, pictures.name, None)
    stream.write(figure(list(pictures.traces), photo, **drawing).to_bytes(kind))
