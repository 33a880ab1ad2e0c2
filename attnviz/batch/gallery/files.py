"""The folder beside the gallery: for each photo a thumbnail, and a script with the data of its explorer.

A page that is opened from a disk may not fetch, but it may load pictures and scripts: nothing is loaded before it is
looked at, and nothing from anywhere else. Names are hashes of what a file holds: what is there already is kept.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz._version import __version__
from attnviz.errors import AttnvizError
from attnviz.photo.glance import for_the_web, small
from attnviz.photo.image import Photo, Pixels
from attnviz.render.folder import output_errors
from attnviz.render.options import DrawOptions
from attnviz.render.pictures import Pictures
from attnviz.render.writers.html import contents, embedded

if TYPE_CHECKING:
    from attnviz.batch.gallery.tiles import Tile
    from attnviz.batch.manifest import Record

FOLDER = "index-files"
THUMBNAIL, THUMBNAIL_QUALITY = 320, 55  # pixels of the longest side
PHOTO, PHOTO_QUALITY = 720, 74
LAYOUT = 1  # of the data in the scripts
_OURS = re.compile(r"[0-9a-f]{16}\.(?:js|webp|jpeg)")


@dataclass(frozen=True)
class Entry:
    """A photo's files: their common name, the thumbnail's, and whether there is an explorer."""

    key: str
    thumbnail: str
    explorer: bool


class Files:
    """The folder.

    Args:
        out, top: the folders of results and of photos.
        replace: writes bytes to a path, whole or not at all.

    Raises:
        OutputError: it cannot be made.
    """

    def __init__(self, out: Path, top: Path, replace: Callable[[Path, bytes], None]) -> None:
        self._folder, self._top, self._replace = out / FOLDER, top, replace
        self._kept: set[str] = set()
        with output_errors(self._folder):
            self._folder.mkdir(exist_ok=True)

    def add(self, record: Record, tile: Tile | None) -> Entry | None:
        """A photo's files, made where they are not there yet; None where the photo cannot be read any more.

        May be called from several threads.
        """
        key = _key(record)
        found = self._found(key, tile)
        if found is None:
            pixels = small(self._top / record.path, PHOTO)
            if pixels is None:
                return None
            data, kind = for_the_web(pixels, THUMBNAIL, THUMBNAIL_QUALITY)
            self._replace(self._folder / f"{key}.{kind}", data)
            found = f"{key}.{kind}"
            script = None if tile is None else _script(key, record, tile, pixels)
            if script is not None:
                self._replace(self._folder / f"{key}.js", script)
        self._kept |= {found, f"{key}.js"}
        return Entry(key, found, (self._folder / f"{key}.js").is_file())

    def _found(self, key: str, tile: Tile | None) -> str | None:
        """The thumbnail's name, where all is there already."""
        if tile is not None and not (self._folder / f"{key}.js").is_file():
            return None
        names = (f"{key}.{kind}" for kind in ("webp", "jpeg"))
        return next((name for name in names if (self._folder / name).is_file()), None)

    def tidy(self) -> None:
        """Removes the files of photos that are no longer there, and of earlier results."""
        for path in self._folder.iterdir():
            if _OURS.fullmatch(path.name) and path.name not in self._kept:
                with suppress(OSError):
                    path.unlink()


def _key(record: Record) -> str:
    what = (record.sha256, record.summary, record.path if record.sha256 is None else "", LAYOUT, __version__)
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def _script(key: str, record: Record, tile: Tile, pixels: Pixels) -> bytes | None:
    """The call by which the page gets the explorer's data, the photo among them."""
    photo = Photo(pixels, Path(record.path).name, None)
    look = {name: getattr(tile.options, name) for name in ("scale", "style", "cmap", "opacity", "cells", "duration")}
    first, *others = tile.traces
    try:
        pictures = Pictures(first, photo, DrawOptions(**look, steps=tile.steps, size=None), others)
    except AttnvizError:  # another photo took its place
        return None
    picture, kind = for_the_web(pictures.pixels, PHOTO, PHOTO_QUALITY)
    source = f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
    return f"attnvizPhoto({embedded(key)},{embedded({**contents(pictures), 'photo': source})})\n".encode()
