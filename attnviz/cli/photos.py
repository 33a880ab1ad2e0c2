"""The photos that a command line names."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from os.path import exists, isdir
from typing import TYPE_CHECKING

from attnviz.cli.delivery import is_closed
from attnviz.cli.places import STDIN
from attnviz.errors import ImageError

if TYPE_CHECKING:
    from attnviz.photo.image import Photo


def label(image: str) -> str:
    """What a photo is called in messages."""
    return "stdin" if image == STDIN else image


def read_photo(image: str, max_pixels: int) -> Photo:
    """Reads a file, or standard input where `image` is "-". Raises ImageError for what cannot be read."""
    from attnviz.photo.image import load

    if image != STDIN:
        return load(image, max_pixels=max_pixels)
    if is_closed("stdin"):
        raise ImageError(
            f"{label(image)}: standard input is closed; name a file, or send the photo into standard input"
        )
    return load(sys.stdin.buffer, max_pixels=max_pixels, name=label(image))


def may_be_read(images: Iterable[str]) -> bool:
    """Whether one of the photos seems to be there: a file, a pipe or standard input."""
    # Path's own methods raise for a name that is too long.
    return any(image == STDIN or (exists(image) and not isdir(image)) for image in images)  # noqa: PTH110, PTH112
