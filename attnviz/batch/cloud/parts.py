"""A manifest where nothing can be appended: immutable parts, written whole, read together, and one file in the end.

The manifest `manifest.jsonl` of an output folder has parts in `manifest.parts/` while a run is at work, in the order of
their numbers; a later line on a photo counts more. The run keeps all lines in one file of its own disk, of which each
part is a piece. When all photos are done, that file becomes `manifest.jsonl`, and then the parts go: who reads
meanwhile finds some lines twice, and none not at all.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz.batch.manifest import Manifest, manifest_name
from attnviz.errors import AttnvizError

if TYPE_CHECKING:
    from attnviz.batch.cloud.store import Store
    from attnviz.batch.place import Staging
    from attnviz.batch.record import Record

PART_SECONDS, PART_BYTES = 10.0, 2**20
"""A part is written this long after its first line at the latest, and when it has so many bytes."""

AT_ONCE = 16
"""Parts that are read side by side."""

_PART = re.compile(r"([0-9]+)-[0-9a-f]+\.jsonl")
_NAME = re.compile(r"(manifest(?:-[0-9]+-of-[0-9]+)?)\.(jsonl|parts)")


class Parts(Manifest):
    """The manifest of one run in a store.

    Args:
        store: the output folder.
        shard: (I, N).
        staging: for the file on the disk.

    Raises:
        OutputError: the manifest is not one of attnviz, or the store does not take it.
    """

    def __init__(self, store: Store, shard: tuple[int, int], staging: Staging) -> None:
        self._store, self._name = store, manifest_name(shard)
        self._earlier = _parts(store, self._name)
        self._number = max((number for number, _ in self._earlier), default=0)
        self._error: AttnvizError | None = None
        self._since = 0.0
        self._writing = threading.Lock()
        super().__init__(gather(store, self._name, staging.path / self._name), staging.replace)
        self._sent = self.path.stat().st_size

    @property
    def told_path(self) -> str:
        return self._store.url + "/" + self._name

    def append(self, record: Record) -> None:
        if self._error is not None:
            raise self._error
        super().append(record)
        self._since = self._since or time.monotonic()

    def finish(self, present: Callable[[str], bool]) -> None:
        super().finish(present)
        self._store.upload(self._name, self.path)
        for _, name in _parts(self._store, self._name):
            self._store.remove(name)

    def close(self) -> None:
        super().close()
        if self._error is not None:
            raise self._error

    def _sync(self, closing: bool) -> None:
        """Writes a part, where it is time."""
        waiting = self.path.stat().st_size - self._sent
        if not waiting or not (closing or waiting >= PART_BYTES or time.monotonic() - self._since >= PART_SECONDS):
            return
        self._since = 0.0
        with self.path.open("rb") as file:
            file.seek(self._sent)
            data = file.read(waiting)
        data = data[: data.rfind(b"\n") + 1]
        self._number += 1
        try:
            self._store.write(f"{_folder(self._name)}/{self._number:08d}-{secrets.token_hex(4)}.jsonl", data)
            self._sent += len(data)
        except AttnvizError as error:
            self._error = error


def names_of_manifests(store: Store) -> list[str]:
    """The manifests of an output folder, of all shards, also those that are only parts yet."""
    found = (_NAME.fullmatch(name) for name, _, _ in store.entries())
    return sorted({f"{match[1]}.jsonl" for match in found if match})


def gather(store: Store, name: str, file: Path) -> Path:
    """A manifest with its parts behind it, as a file of the disk."""
    if name in store.names(""):
        store.download(name, file)
    with file.open("ab") as lines, ThreadPoolExecutor(AT_ONCE) as readers:
        for data in readers.map(store.read, [part for _, part in _parts(store, name)]):
            lines.write(data)
    return file


def _folder(name: str) -> str:
    return name.removesuffix(".jsonl") + ".parts"


def _parts(store: Store, name: str) -> list[tuple[int, str]]:
    """(number, path) of the parts, in order."""
    folder = _folder(name)
    found = ((_PART.fullmatch(one), one) for one in store.names(folder))
    return sorted((int(match[1]), f"{folder}/{one}") for match, one in found if match)
