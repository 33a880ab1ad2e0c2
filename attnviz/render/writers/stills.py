"""Stills: one picture a step, as PNG, JPEG or WebP."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from PIL import Image, features

from attnviz.errors import ConfigError
from attnviz.render.names import endings, step_name
from attnviz.render.writers._png import Encoder
from attnviz.render.writers.base import Job

if TYPE_CHECKING:
    from attnviz.render.overlay import Bytes
    from attnviz.render.pictures import Pictures

# Without loss to the eye, and without halving the resolution of colour, in which these pictures say what they say.
JPEG = {"quality": 88, "subsampling": "4:4:4"}
WEBP = {"quality": 85, "method": 2}
MOST_JPEG, MOST_WEBP = 65_500, 16_383  # pixels of a side


def pngs(pictures: Pictures) -> Iterator[Job]:
    """`step-00-a.png` and so on."""
    encoders: dict[int, Encoder] = {}

    def write(number: int, index: int, stream: BinaryIO) -> None:
        encoders[number].write(pictures.picture(index, number), stream)

    for number in range(len(pictures.traces)):
        encoders[number] = Encoder(pictures.empty_picture(number))
    return _jobs(pictures, ".png", write)


def jpegs(pictures: Pictures) -> Iterator[Job]:
    """`step-00-a.jpg` and so on. Raises ConfigError for pictures larger than a JPEG can be."""
    return _pillow(pictures, "jpg", "JPEG", JPEG, MOST_JPEG)


def webps(pictures: Pictures) -> Iterator[Job]:
    """`step-00-a.webp` and so on. Raises ConfigError as `jpegs` does, and where Pillow was built without WebP."""
    require()
    return _pillow(pictures, "webp-stills", "WEBP", WEBP, MOST_WEBP)


def require() -> None:
    """Raises ConfigError unless Pillow was built with WebP."""
    if not features.check("webp"):
        raise ConfigError("webp-stills: this build of Pillow cannot write them; choose png or jpg")


def _pillow(pictures: Pictures, name: str, kind: str, how: Mapping[str, Any], most: int) -> Iterator[Job]:
    longest = max(pictures.empty_picture(0).shape)
    if longest > most:
        raise ConfigError(f"{name}: a side of {longest} pixels is more than {most}; give a smaller size")

    def write(number: int, index: int, stream: BinaryIO) -> None:
        stream.write(encoded(pictures.picture(index, number), kind, how))

    return _jobs(pictures, f".{kind.lower()}".replace("jpeg", "jpg"), write)


def encoded(pixels: Bytes, kind: str, how: Mapping[str, Any]) -> bytes:
    """(H, W, 3) pixels as a file of one of Pillow's formats."""
    out = io.BytesIO()  # Pillow wants a seekable file
    Image.fromarray(pixels).save(out, kind, **how)
    return out.getvalue()


def _jobs(pictures: Pictures, suffix: str, write: Callable[[int, int, BinaryIO], None]) -> Iterator[Job]:
    """One file a drawn step. Of compared traces the first has the plain names, those of the others end in theirs."""
    tokens = pictures.trace.tokens
    for number, ending in enumerate(endings(pictures.names)):
        for index, step in enumerate(pictures.steps):
            yield Job(step_name(step, tokens[step], len(tokens), ending + suffix), partial(write, number, index))
