"""Where photos come from: a folder, on the disk or in a store, a list of paths and URLs, or tar shards."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Protocol

from attnviz.batch.listed import Listed, Stamp
from attnviz.batch.listing import find
from attnviz.errors import ConfigError, DataError, ImageError
from attnviz.files import spelled
from attnviz.photo.source import read_path

if TYPE_CHECKING:
    from attnviz.batch.catalogue import Found
    from attnviz.batch.outs import Out

LISTS = (".txt", ".parquet")
SHARDS = ".tar"
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


class Source(Protocol):
    """Photos, and how they are read. It can be pickled."""

    @property
    def name(self) -> str:
        """As the user gave it."""

    @property
    def shared(self) -> bool:
        """Whether other processes see it too."""

    def find(self, out: Out, glob: str | None, shard: tuple[int, int]) -> Found:
        """The photos, but for those among the results in `out`; see `listing.find`."""

    def read(self, photo: Listed, max_pixels: int) -> tuple[bytes, Stamp]:
        """The bytes of a photo, and by what its file is known again.

        Raises:
            ImageError: it cannot be read.
        """

    def stamp(self, photo: Listed) -> Stamp | None:
        """By what a photo's file is known again, as it is now; None where only reading it would tell."""

    def digest(self, photo: Listed) -> str | None:
        """SHA-256 of its bytes, where that costs less than doing it anew."""

    def finder(self) -> Callable[[str], bytes | None]:
        """A function that gives the bytes of the photo of a path; None where it cannot be read any more."""


class Files:
    """Photos that lie as files below a folder of the disk.

    Args:
        top: the folder.
    """

    shared = True

    def __init__(self, top: Path) -> None:
        self.top = top

    @property
    def name(self) -> str:
        return str(self.top)

    def find(self, out: Out, glob: str | None, shard: tuple[int, int]) -> Found:
        return find(self.top, out.folder or Path(os.devnull) / "nowhere", glob, shard)

    def read(self, photo: Listed, max_pixels: int) -> tuple[bytes, Stamp]:
        path = self._path(photo)
        if path.is_symlink() and not path.exists():
            raise ImageError("is a link to a file that is not there; mend or remove the link")
        stamp = self.stamp(photo)
        return read_path(path, str(path), max_pixels), stamp or Stamp()

    def stamp(self, photo: Listed) -> Stamp | None:
        try:
            status = self._path(photo).stat()
        except OSError:
            return None
        return Stamp(status.st_size, status.st_mtime_ns)

    def digest(self, photo: Listed) -> str | None:
        try:
            with self._path(photo).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None

    def finder(self) -> Callable[[str], bytes | None]:
        return self._bytes

    def _bytes(self, path: str) -> bytes | None:
        try:
            return (self.top / path).read_bytes()
        except (OSError, ValueError):
            return None

    def _path(self, photo: Listed) -> Path:
        return self.top / photo.path


def url_scheme(name: str) -> str | None:
    """ "s3" of s3://bucket/folder; None for what is no URL."""
    match = _URL.match(name)
    return match[1].lower() if match else None


def is_whole(name: str | os.PathLike[str]) -> bool:
    """Whether a path, of this system or another, or a URL means the same wherever it is read."""
    text = os.fspath(name)
    return url_scheme(text) is not None or any(kind(text).is_absolute() for kind in (PurePosixPath, PureWindowsPath))


def local_path(url: str) -> Path:
    """The path in a file:// URL. Raises ConfigError for one of another machine."""
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(url.replace("#", "%23").replace("?", "%3F"))
    if parts.netloc not in ("", "localhost"):
        raise ConfigError(f"{url}: names another machine; write file:///path, with three slashes")
    return Path(unquote(parts.path))


def source_of(name: str | os.PathLike[str]) -> Source:
    """What a user means by a folder, a list (.txt, .parquet), tar shards (.tar), or a URL of these.

    Raises:
        ConfigError: a URL of no known kind, or one that needs a package that is not installed.
    """
    text = os.fspath(name)
    scheme = url_scheme(text)
    if scheme == "file":
        text, scheme = str(local_path(text)), None
    if text.lower().endswith(LISTS) and (scheme or not Path(text).is_dir()):
        from attnviz.batch.lists import Listing

        return Listing(text)
    if text.lower().endswith(SHARDS) and (scheme or not Path(text).is_dir()):
        from attnviz.batch.tars import Shards

        return Shards(text)
    if scheme is not None:
        if text.lower().endswith((".tar.gz", ".tgz", ".csv", ".json", ".jsonl", ".zip")):
            raise DataError(f"{text}: is not read; give a folder, a list of URLs (.txt, .parquet), or .tar shards")
        from attnviz.batch.cloud.source import Objects

        return Objects(text)
    return Files(spelled(text))
