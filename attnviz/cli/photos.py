"""The photos that a command line names."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from os.path import exists
from typing import TYPE_CHECKING

from attnviz.cli.delivery import is_closed
from attnviz.cli.places import STDIN
from attnviz.errors import ImageError
from attnviz.files import is_folder, spelled

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


def may_be_read(images: Sequence[str]) -> bool:
    """Whether one of the photos seems to be there: a file, a pipe or standard input."""
    places = (spelled(image) for image in images if image != STDIN)
    # Path's own methods raise for a name that is too long.
    return STDIN in images or any(exists(place) and not is_folder(place) for place in places)  # noqa: PTH110
