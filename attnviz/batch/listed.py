"""A photo that a source has listed, and by what it is known again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from attnviz.batch.names import result_folder


class Stamp(NamedTuple):
    """By what a photo's file is known again without being read: bytes, time of change, and a store's own tag."""

    size: int | None = None
    mtime_ns: int | None = None
    etag: str | None = None


UNKNOWN = Stamp()


@dataclass(frozen=True, slots=True)
class Listed:
    """A photo.

    Attributes:
        path: relative to the source, with "/" between the parts. Bytes that are no text stand in it as lone surrogates.
        apart: the folder of its results, where its name is like another's.
        error: why it is no photo after all: a folder that cannot be read is listed too, so that it is told of.
        origin: the path or URL where it lies, if that is not the path in the source.
        span: (start, length) of its bytes in that file.
        stamp: what the listing told of it, where it did.
    """

    path: str
    apart: str | None = None
    error: str | None = None
    origin: str | None = None
    span: tuple[int, int] | None = None
    stamp: Stamp | None = None

    @property
    def folder(self) -> str:
        """Of its results, relative to the output folder."""
        return self.apart or (self.path if self.error is not None else result_folder(self.path))
