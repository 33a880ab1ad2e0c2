"""A list of photos: a text file with a path or URL a line, or a Parquet file with a column of them."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from attnviz.batch.enumerated import Enumerated, store
from attnviz.batch.listed import Listed, Stamp
from attnviz.batch.sources import Files, local_path, url_scheme
from attnviz.batch.tables import PAGE
from attnviz.errors import ConfigError, DataError
from attnviz.files import absent

COLUMNS = ("url", "image_url", "path", "image", "image_path", "file_name", "filename", "uri", "URL")
"""Names of columns that hold paths or URLs, of which the first that is there is taken."""

ANY = "**"  # a list has chosen already: every line is a photo, whatever its suffix


class Listing(Enumerated):
    """The photos of a list. Paths are relative to the list's folder.

    Args:
        name: a path or URL that ends in .txt or .parquet.
    """

    glob = ANY

    def files(self) -> Iterator[Listed]:
        empty = True
        for entry in self._entries():
            empty = False
            yield self._listed(entry)
        if empty:
            raise DataError(f"{self.name}: is empty; give a path or URL a line")

    def read(self, photo: Listed, max_pixels: int) -> tuple[bytes, Stamp]:
        origin = photo.origin or photo.path
        if url_scheme(origin) is None:
            return _folder(origin).read(Listed(Path(origin).name), max_pixels)
        from attnviz.batch.cloud.source import fetched

        return fetched(store(origin), "", photo, max_pixels)

    def stamp(self, photo: Listed) -> Stamp | None:
        origin = photo.origin or photo.path
        return None if url_scheme(origin) else _folder(origin).stamp(Listed(Path(origin).name))

    def digest(self, photo: Listed) -> str | None:
        origin = photo.origin or photo.path
        return None if url_scheme(origin) else _folder(origin).digest(Listed(Path(origin).name))

    def _entries(self) -> Iterator[str]:
        with self._opened() as file:
            if self.name.lower().endswith(".parquet"):
                yield from _of_parquet(self.name, file)
                return
            try:
                with io.TextIOWrapper(file, "utf-8-sig") as lines:
                    yield from (line.strip() for line in lines if line.strip() and not line.startswith("#"))
            except UnicodeDecodeError as error:
                raise DataError(f"{self.name}: is no text in UTF-8; save the list as UTF-8") from error

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """The list as a file of the disk: it may be larger than memory."""
        try:
            if url_scheme(self.name) is None:
                with Path(self.name).open("rb") as file:
                    yield file
                return
            with tempfile.TemporaryDirectory(prefix="attnviz-") as scratch:
                copy = Path(scratch) / "list"
                store(self.name).download("", copy)
                with copy.open("rb") as file:
                    yield file
        except FileNotFoundError:
            raise DataError(f"{self.name}: {absent(self.name)}") from None
        except (OSError, ValueError) as error:
            raise DataError(f"{self.name}: cannot be read: {getattr(error, 'strerror', None) or error}") from error

    def _listed(self, entry: str) -> Listed:
        """A photo of the list; the path of its results is the entry's, without a scheme or ways up."""
        scheme = url_scheme(entry)
        if scheme == "file":
            entry, scheme = str(local_path(entry)), None
        bare = entry.partition("://")[2] if scheme else entry.replace(os.sep, "/")
        parts = [part for part in bare.split("/") if part not in ("", ".", "..")]
        path = "/".join(parts) or "photo"
        if scheme:
            origin = entry
        elif (base := url_scheme(self.name)) and not entry.startswith("/"):
            origin = f"{self.name.rpartition('/')[0]}/{entry}"
        elif base:
            return Listed(path, error=f"{entry} is a path of one machine, in a list that lies elsewhere; give URLs")
        else:
            origin = str(Path(self.name).parent / entry)
        return Listed(path, origin=origin)


def _folder(origin: str) -> Files:
    return Files(Path(origin).parent)


def _of_parquet(name: str, data: BinaryIO) -> Iterator[str]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ConfigError(f"{name}: Parquet needs pyarrow: pip install 'attnviz[cloud]'") from error
    try:
        file = parquet.ParquetFile(data)
        texts = [field.name for field in file.schema_arrow if pa.types.is_string(field.type) or _large(pa, field.type)]
        column = next((one for one in COLUMNS if one in texts), texts[0] if len(texts) == 1 else None)
        if column is None:
            raise DataError(
                f"{name}: has no column of paths or URLs (its columns of text are {', '.join(texts) or 'none'}); call "
                f"it {COLUMNS[0]}"
            )
        for batch in file.iter_batches(PAGE, columns=[column]):
            yield from (value for value in batch.column(0).to_pylist() if value)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{name}: is no Parquet file that can be read: {' '.join(str(error).split())}") from error


def _large(pa: object, kind: object) -> bool:
    return bool(pa.types.is_large_string(kind))  # type: ignore[attr-defined]
