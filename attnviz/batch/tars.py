"""Photos in tar shards, as WebDataset writes them: `shard-000.tar`, or several by a pattern, `shard-{000..127}.tar`."""

from __future__ import annotations

import glob as globbing
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from attnviz.batch.enumerated import Enumerated, store
from attnviz.batch.listed import Listed, Stamp
from attnviz.batch.sources import url_scheme
from attnviz.errors import DataError, ImageError, one_line
from attnviz.files import absent
from attnviz.photo.source import most_bytes

BLOCK = 8 * 2**20
"""Bytes of a shard that are fetched at once while its index is read."""

MOST_SHARDS = 1_000_000
_RANGE = re.compile(r"\{([0-9]+)\.\.([0-9]+)\}")


class Shards(Enumerated):
    """The photos in one or several tar files, which are not compressed. Their headers are read to list them.

    Args:
        name: a path or URL that ends in .tar, in which {000..127} counts and * stands for any characters of a name.

    Raises:
        ConfigError: as `Store` does.
    """

    def files(self) -> Iterator[Listed]:
        tars = self._tars()
        above = [tar.rpartition("/")[0] for tar in tars]
        common = above[0] if len(set(above)) == 1 else ""
        for tar in tars:
            yield from self._members(tar, tar.removeprefix(f"{common}/").removeprefix("/"))

    def read(self, photo: Listed, max_pixels: int) -> tuple[bytes, Stamp]:
        assert photo.origin is not None
        assert photo.span is not None
        if url_scheme(photo.origin):
            from attnviz.batch.cloud.source import fetched

            return fetched(store(photo.origin), "", photo, max_pixels)
        start, length = photo.span
        if length > most_bytes(max_pixels):
            raise ImageError(f"has {length:,} bytes, too many for a photo; raise --max-pixels if it is one")
        try:
            with Path(photo.origin).open("rb") as file:
                file.seek(start)
                return file.read(length), photo.stamp or Stamp()
        except OSError as error:
            raise ImageError(f"cannot be read from its shard ({error.strerror or error})") from error

    def stamp(self, photo: Listed) -> Stamp | None:
        return photo.stamp

    def digest(self, photo: Listed) -> str | None:
        return None

    def _tars(self) -> list[str]:
        names = list(_counted(self.name))
        if not any(sign in self.name for sign in "*?["):
            return names
        found: list[str] = []
        for name in names:
            if scheme := url_scheme(name):
                fs = store(name).fs
                found += [f"{scheme}://{str(path).lstrip('/')}" for path in fs.glob(name)]
            else:
                found += globbing.glob(name)  # noqa: PTH207 - the pattern may be absolute
        if not found:
            raise DataError(f"{self.name}: there are no such shards; check the pattern")
        return sorted(found)

    def _members(self, tar: str, name: str) -> Iterator[Listed]:
        """The files of a shard, but hidden ones."""
        try:
            with _open(tar) as (file, stamp), tarfile.open(fileobj=file, mode="r:") as archive:
                for member in archive:
                    parts = [part for part in PurePosixPath(member.name).parts if part not in ("/", ".", "..")]
                    if not member.isreg() or not parts or any(part.startswith(".") for part in parts):
                        continue
                    span = (member.offset_data, member.size)
                    known = Stamp(member.size, stamp.mtime_ns, stamp.etag)
                    yield Listed("/".join([name, *parts]), origin=tar, span=span, stamp=known)
                    # It keeps them all, and their number may be large.
                    archive.members.clear()  # type: ignore[attr-defined]
        except tarfile.TarError as error:
            raise DataError(f"{tar}: is no tar file that can be read, uncompressed ({one_line(str(error))})") from error
        except FileNotFoundError:
            raise DataError(f"{tar}: {absent(tar) if not url_scheme(tar) else 'is not there'}") from None
        except OSError as error:
            raise DataError(f"{tar}: cannot be read: {error.strerror or error}") from error


def _counted(name: str) -> Iterator[str]:
    """The names that {000..127} in a name stands for."""
    match = _RANGE.search(name)
    if match is None:
        yield name
        return
    first, last = int(match[1]), int(match[2])
    if not first <= last < first + MOST_SHARDS:
        raise DataError(f"{name}: {match[0]} counts nothing; write it such as {{000..127}}")
    for number in range(first, last + 1):
        yield from _counted(f"{name[: match.start()]}{number:0{len(match[1])}d}{name[match.end() :]}")


class _open:  # noqa: N801 - used like a function
    """A shard, and by what it is known again, as a context."""

    def __init__(self, tar: str) -> None:
        self._tar = tar

    def __enter__(self) -> tuple[BinaryIO, Stamp]:
        if url_scheme(self._tar):
            here = store(self._tar)
            info = here.info("")
            self._file = cast("BinaryIO", here.trying("", lambda: here.fs.open(here.root, "rb", block_size=BLOCK)))
            return self._file, Stamp(*info)
        status = Path(self._tar).stat()
        self._file = Path(self._tar).open("rb")
        return self._file, Stamp(status.st_size, status.st_mtime_ns)

    def __exit__(self, *_: object) -> None:
        self._file.close()
