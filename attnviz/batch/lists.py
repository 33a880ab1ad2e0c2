"""A list of photos: a text file with a path or URL a line, or a Parquet file with a column of them."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz.batch.listing import Found, Listed, Stamp, check_shard, chosen
from attnviz.batch.sources import Files, local_path, url_scheme
from attnviz.errors import AttnvizError, ConfigError, DataError
from attnviz.files import absent

if TYPE_CHECKING:
    from attnviz.batch.cloud.store import Store
    from attnviz.batch.outs import Out

COLUMNS = ("url", "image_url", "path", "image", "image_path", "file_name", "filename", "uri", "URL")
"""Names of columns that hold paths or URLs, of which the first that is there is taken."""

ANY = "**"  # a list has chosen already: every line is a photo, whatever its suffix


class Listing:
    """The photos of a list. Paths are relative to the list's folder.

    Args:
        name: a path or URL that ends in .txt or .parquet.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._remote: dict[str, Store] = {}
        self._photos: list[Listed] = []
        if url_scheme(name):
            self._store(name)  # says at once what is missing

    def __getstate__(self) -> dict[str, object]:
        return {"name": self.name, "_remote": {}, "_photos": []}

    @property
    def shared(self) -> bool:
        return url_scheme(self.name) != "memory"

    def find(self, out: Out, glob: str | None, shard: tuple[int, int]) -> Found:
        check_shard(shard)
        files: dict[str, Listed] = {}
        for entry in self._entries():
            one = self._listed(entry)
            files.setdefault(one.path, one)
        if not files:
            raise DataError(f"{self.name}: is empty; give a path or URL a line")
        found = chosen(self.name, sorted(files.values(), key=lambda one: one.path), glob or ANY, shard)
        self._photos = found.photos
        return found

    def read(self, photo: Listed, max_pixels: int) -> tuple[bytes, Stamp]:
        origin = photo.origin or photo.path
        if url_scheme(origin) is None:
            return self._files(origin).read(Listed(Path(origin).name), max_pixels)
        from attnviz.batch.cloud.source import fetched

        return fetched(self._store(origin), "", photo, max_pixels)

    def stamp(self, photo: Listed) -> Stamp | None:
        origin = photo.origin or photo.path
        return None if url_scheme(origin) else self._files(origin).stamp(Listed(Path(origin).name))

    def digest(self, photo: Listed) -> str | None:
        origin = photo.origin or photo.path
        return None if url_scheme(origin) else self._files(origin).digest(Listed(Path(origin).name))

    def finder(self) -> Callable[[str], bytes | None]:
        return finder(self._photos, lambda photo: self.read(photo, 2**40)[0])

    def _entries(self) -> Iterator[str]:
        if self.name.lower().endswith(".parquet"):
            yield from _of_parquet(self.name, self._data())
            return
        try:
            text = self._data().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"{self.name}: is no text in UTF-8; save the list as UTF-8") from error
        for line in text.splitlines():
            if line.strip() and not line.startswith("#"):
                yield line.strip()

    def _data(self) -> bytes:
        if url_scheme(self.name):
            return self._store(self.name).read("")
        try:
            return Path(self.name).read_bytes()
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

    def _files(self, origin: str) -> Files:
        return Files(Path(origin).parent)

    def _store(self, url: str) -> Store:
        """One for each kind of URL would do, but an object is named by a whole one: file systems are shared anyway."""
        from attnviz.batch.cloud.store import Store

        if self.name != url:
            return Store(url)
        if url not in self._remote:
            self._remote[url] = Store(url)
        return self._remote[url]


def finder(photos: list[Listed], read: Callable[[Listed], bytes]) -> Callable[[str], bytes | None]:
    """Reads photos by their paths, of those that were listed."""
    by_path = {photo.path: photo for photo in photos}

    def found(path: str) -> bytes | None:
        photo = by_path.get(path)
        try:
            return None if photo is None else read(photo)
        except (AttnvizError, OSError):
            return None

    return found


def _of_parquet(name: str, data: bytes) -> Iterator[str]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ConfigError(f"{name}: Parquet needs pyarrow: pip install 'attnviz[cloud]'") from error
    try:
        file = parquet.ParquetFile(io.BytesIO(data))
        texts = [field.name for field in file.schema_arrow if pa.types.is_string(field.type) or _large(pa, field.type)]
        column = next((one for one in COLUMNS if one in texts), texts[0] if len(texts) == 1 else None)
        if column is None:
            raise DataError(
                f"{name}: has no column of paths or URLs (its columns of text are {', '.join(texts) or 'none'}); call "
                f"it {COLUMNS[0]}"
            )
        for batch in file.iter_batches(columns=[column]):
            yield from (value for value in batch.column(0).to_pylist() if value)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{name}: is no Parquet file that can be read: {' '.join(str(error).split())}") from error


def _large(pa: object, kind: object) -> bool:
    return bool(pa.types.is_large_string(kind))  # type: ignore[attr-defined]
