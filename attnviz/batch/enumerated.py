"""A source that names its photos one by one, each with the place where it lies: a list, or tar shards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from attnviz.batch.listing import check_shard, chosen
from attnviz.batch.sources import url_scheme
from attnviz.errors import AttnvizError

if TYPE_CHECKING:
    from attnviz.batch.catalogue import Found, Photos
    from attnviz.batch.cloud.store import Store
    from attnviz.batch.listed import Listed, Stamp
    from attnviz.batch.outs import Out

NO_LIMIT = 2**40
"""Pixels: a photo that was described once is not refused when the gallery wants it."""


class Enumerated(ABC):
    """The photos that a file tells of.

    Args:
        name: a path or URL.

    Raises:
        ConfigError: as `Store` does.
    """

    glob: str | None = None
    """Which of its files are photos, where the user does not say."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._photos: Photos | None = None
        if url_scheme(name):
            store(name)  # says at once what is missing

    def __getstate__(self) -> dict[str, object]:
        return {"name": self.name, "_photos": None}

    @property
    def shared(self) -> bool:
        return url_scheme(self.name) != "memory"

    @abstractmethod
    def files(self) -> Iterator[Listed]:
        """All that it holds, in any order."""

    @abstractmethod
    def read(self, photo: Listed, max_pixels: int) -> tuple[bytes, Stamp]:
        """As a `Source` does."""

    def find(self, out: Out, glob: str | None, shard: tuple[int, int]) -> Found:
        check_shard(shard)
        found = chosen(self.name, self.files(), glob or self.glob, shard)
        self._photos = found.photos
        return found

    def finder(self) -> Callable[[str], bytes | None]:
        def found(path: str) -> bytes | None:
            photo = self._photos.get(path) if self._photos is not None else None
            try:
                return None if photo is None else self.read(photo, NO_LIMIT)[0]
            except (AttnvizError, OSError):
                return None

        return found


def store(url: str) -> Store:
    """What a URL names, a file or a folder: file systems are shared anyway."""
    from attnviz.batch.cloud.store import Store

    return Store(url)
