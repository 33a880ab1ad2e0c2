"""Photos that lie in an object store, or anywhere that fsspec reads from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attnviz.batch.cloud.store import Store, walk
from attnviz.batch.listed import Listed, Stamp
from attnviz.batch.listing import check_shard, chosen, matcher
from attnviz.batch.names import ENDING
from attnviz.errors import AttnvizError, ConfigError, ImageError
from attnviz.photo.source import most_bytes

if TYPE_CHECKING:
    from attnviz.batch.catalogue import Found
    from attnviz.batch.outs import Out


class Objects:
    """Photos below a folder that a URL names.

    Args:
        url: such as s3://bucket/photos.

    Raises:
        ConfigError: as `Store` does.
    """

    def __init__(self, url: str) -> None:
        self.store = Store(url)

    @property
    def name(self) -> str:
        return self.store.url

    @property
    def shared(self) -> bool:
        return self.store.shared

    def find(self, out: Out, glob: str | None, shard: tuple[int, int]) -> Found:
        if glob is not None:
            matcher(glob)
        check_shard(shard)
        if str(out) == self.name:
            raise ConfigError(
                f"{out}: is the folder of the photos; give another for the results, such as {out}/results"
            )
        own = str(out).removeprefix(f"{self.name}/") if str(out).startswith(f"{self.name}/") else None

        def skip(path: str, names: set[str]) -> bool:
            return path == own or (path.endswith(ENDING) and "trace.npz" in names)

        files = (Listed(path, stamp=Stamp(*info)) for path, info in walk(self.store, skip))
        return chosen(self.name, files, glob, shard)

    def read(self, photo: Listed, max_pixels: int) -> tuple[bytes, Stamp]:
        return fetched(self.store, photo.path, photo, max_pixels)

    def stamp(self, photo: Listed) -> Stamp | None:
        return photo.stamp

    def digest(self, photo: Listed) -> str | None:
        return None

    def finder(self) -> Callable[[str], bytes | None]:
        def found(path: str) -> bytes | None:
            try:
                return self.store.read(path)
            except AttnvizError:
                return None

        return found


def fetched(store: Store, path: str, photo: Listed, max_pixels: int) -> tuple[bytes, Stamp]:
    """The bytes of a photo in a store. Raises ImageError, as for files."""
    stamp = photo.stamp or Stamp()
    if (stamp.size or 0) > most_bytes(max_pixels):
        raise ImageError(f"has {stamp.size:,} bytes, too many for a photo; raise --max-pixels if it is one")
    try:
        return store.read(path, photo.span), stamp
    except AttnvizError as error:
        url = f"{store.url}/{path}" if path else store.url
        raise ImageError(str(error).removeprefix(f"{AttnvizError(url)}: ")) from error
