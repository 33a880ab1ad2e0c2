"""Where results go: a folder of the disk, or one in an object store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from attnviz.batch.lock import Lock
from attnviz.batch.manifest import Manifest, manifest_name, manifests
from attnviz.batch.place import Staging, place
from attnviz.batch.sources import local_path, url_scheme
from attnviz.errors import OutputError
from attnviz.files import unfit, write_atomically
from attnviz.render.folder import SUMMARY, output_errors

if TYPE_CHECKING:
    from attnviz.batch.record import Record


class Out(Protocol):
    """An output folder. It can be pickled; names in it have "/" between their parts."""

    @property
    def folder(self) -> Path | None:
        """On the disk, where it is there."""

    @property
    def shared(self) -> bool:
        """Whether other processes see it too."""

    def make(self) -> None:
        """Makes it, if it is not there."""

    def lock(self, shard: tuple[int, int]) -> Any:
        """A context in which no other run writes here: a `Lock` or a `Lease`."""

    def staging(self, shard: tuple[int, int]) -> Staging:
        """A context with a folder of the disk for what is not finished."""

    def manifest(self, shard: tuple[int, int], staging: Staging) -> Manifest:
        """That of this run."""

    def manifests(self, scratch: Path) -> list[Path]:
        """All of them, as files of the disk, which may be put into the folder `scratch`."""

    def place(self, staged: Path, folder: str, files: Sequence[str]) -> None:
        """Moves finished results to where they belong; see `place.place`."""

    def is_there(self, record: Record) -> bool:
        """Whether the results are all there that a record tells of, as far as looking is cheap."""

    def names(self, folder: str) -> set[str]:
        """The files in a folder; none where there is no such folder."""

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises OSError or AttnvizError."""

    def write(self, name: str, data: bytes) -> None:
        """Writes a file, whole or not at all. Raises OutputError."""

    def remove(self, name: str) -> None:
        """Removes a file, if that can be done."""

    def at(self, name: str) -> Path | str:
        """What to call a file in it: a path or a URL."""


class Folder:
    """Results in a folder of the disk.

    Args:
        path: the folder.
    """

    shared = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    @property
    def folder(self) -> Path:
        return self._path

    def make(self) -> None:
        if (reason := unfit(self._path)) is not None:
            raise OutputError(f"{self._path}: {reason}; choose another folder")
        with output_errors(self._path):
            self._path.mkdir(parents=True, exist_ok=True)

    def lock(self, shard: tuple[int, int]) -> Lock:
        return Lock(self._path, shard)

    def staging(self, shard: tuple[int, int]) -> Staging:
        return Staging(self._path / ".attnviz-{}-of-{}.tmp".format(*shard))

    def manifest(self, shard: tuple[int, int], staging: Staging) -> Manifest:
        return Manifest(self._path / manifest_name(shard), staging.replace)

    def manifests(self, scratch: Path) -> list[Path]:
        return manifests(self._path)

    def place(self, staged: Path, folder: str, files: Sequence[str]) -> None:
        place(staged, self._path / folder, files)

    def is_there(self, record: Record) -> bool:
        """Whether they are all there, and are those that the record tells of."""
        folder = self._path / str(record.folder)
        try:
            summary = hashlib.sha256((folder / SUMMARY).read_bytes()).hexdigest()
            return summary == record.summary and set(record.files) <= {path.name for path in folder.iterdir()}
        except OSError:
            return False

    def names(self, folder: str) -> set[str]:
        try:
            return {path.name for path in (self._path / folder).iterdir() if path.is_file()}
        except OSError:
            return set()

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        write_atomically(self._path / name, data)

    def remove(self, name: str) -> None:
        with suppress(OSError):
            (self._path / name).unlink()

    def at(self, name: str) -> Path:
        return self._path / name


def out_of(name: str | os.PathLike[str]) -> Out:
    """What a user means by a folder or a URL of one.

    Raises:
        ConfigError: a URL of no known kind, or one that needs a package that is not installed.
        OutputError: a path that no folder can have, or a kind of URL that nothing is written to.
    """
    text = os.fspath(name)
    scheme = url_scheme(text)
    if scheme == "file":
        return Folder(local_path(text))
    if scheme is not None:
        from attnviz.batch.cloud.place import Bucket

        return Bucket(text)
    if (reason := unfit(text)) is not None:
        raise OutputError(f"{text}: {reason}; choose another folder")
    return Folder(Path(text))
