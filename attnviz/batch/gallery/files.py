"""The folder beside the gallery: for each photo a thumbnail, and a script with the data of its explorer.

A page that is opened from a disk may not fetch, but it may load pictures and scripts: nothing is loaded before it is
looked at, and nothing from anywhere else. Names are hashes of what a file holds: what is there already is kept.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz._version import __version__
from attnviz.errors import AttnvizError
from attnviz.photo.glance import for_the_web, small
from attnviz.photo.image import Photo, Pixels
from attnviz.render.options import DrawOptions
from attnviz.render.pictures import Pictures
from attnviz.render.writers.html import contents, embedded

if TYPE_CHECKING:
    from attnviz.batch.gallery.tiles import Tile
    from attnviz.batch.outs import Out
    from attnviz.batch.record import Record

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
        out: the output folder.
        photo: gives the bytes of the photo of a path; None where it cannot be read any more.
    """

    def __init__(self, out: Out, photo: Callable[[str], bytes | None]) -> None:
        self._out, self._photo = out, photo
        self._there = out.names(FOLDER)
        self._kept: set[str] = set()

    def add(self, record: Record, tile: Tile | None) -> Entry | None:
        """A photo's files, made where they are not there yet; None where the photo cannot be read any more.

        May be called from several threads.
        """
        key = _key(record)
        found = self._found(key, tile)
        explorer = f"{key}.js" in self._there
        if found is None:
            data = self._photo(record.path)
            pixels = None if data is None else small(data, PHOTO)
            if pixels is None:
                return None
            picture, kind = for_the_web(pixels, THUMBNAIL, THUMBNAIL_QUALITY)
            found = f"{key}.{kind}"
            self._out.write(f"{FOLDER}/{found}", picture)
            script = None if tile is None else _script(key, record, tile, pixels)
            if script is not None:
                self._out.write(f"{FOLDER}/{key}.js", script)
                explorer = True
        self._kept |= {found, f"{key}.js"}
        return Entry(key, found, explorer)

    def _found(self, key: str, tile: Tile | None) -> str | None:
        """The thumbnail's name, where all is there already."""
        if tile is not None and f"{key}.js" not in self._there:
            return None
        names = (f"{key}.{kind}" for kind in ("webp", "jpeg"))
        return next((name for name in names if name in self._there), None)

    def tidy(self) -> None:
        """Removes the files of photos that are no longer there, and of earlier results."""
        for name in self._there - self._kept:
            if _OURS.fullmatch(name):
                self._out.remove(f"{FOLDER}/{name}")


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
