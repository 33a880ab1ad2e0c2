"""Results in an object store: drawn on the disk, then sent, the summary last."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz.batch.cloud.lease import Lease
from attnviz.batch.cloud.parts import Parts, gather, names_of_manifests
from attnviz.batch.cloud.store import Store
from attnviz.batch.place import Staging
from attnviz.errors import AttnvizError, OutputError
from attnviz.render.folder import SUMMARY
from attnviz.render.names import is_ours

if TYPE_CHECKING:
    from attnviz.batch.record import Record

AT_ONCE = 8
"""Files of one photo that are sent side by side."""

_READ_ONLY = ("http", "https", "github", "zip", "tar", "data", "git", "ftp")


class Bucket:
    """Results in a folder that a URL names.

    Args:
        url: such as s3://bucket/results.

    Raises:
        ConfigError: as `Store` does.
        OutputError: a kind of URL that nothing is written to.
    """

    folder = None

    def __init__(self, url: str) -> None:
        self.store = Store(url, OutputError)
        if self.store.protocol in _READ_ONLY:
            raise OutputError(
                f"{url}: nothing is written to {self.store.protocol}; give a folder or a bucket, s3://..."
            )

    def __str__(self) -> str:
        return self.store.url

    @property
    def shared(self) -> bool:
        return self.store.shared

    def make(self) -> None:
        """A store has no folders to be made; but its bucket must be there."""
        self.store.check()

    def lock(self, shard: tuple[int, int]) -> Lease:
        return Lease(self.store, shard)

    def staging(self, shard: tuple[int, int]) -> Staging:
        return Staging(Path(tempfile.mkdtemp(prefix="attnviz-")))

    def manifest(self, shard: tuple[int, int], staging: Staging) -> Parts:
        return Parts(self.store, shard, staging)

    def manifests(self, scratch: Path) -> list[Path]:
        return [gather(self.store, name, scratch / name) for name in names_of_manifests(self.store)]

    def place(self, staged: Path, folder: str, files: Sequence[str]) -> None:
        """Sends a folder of results. The summary of earlier ones goes first and the new one comes last, so that what a
        crash leaves is never taken for finished results. Files of other programs stay.

        Raises:
            OutputError: the store does not take them, or `folder` holds a summary.json of another program.
        """
        former = set(filter(is_ours, self.store.names(folder)))
        if SUMMARY in former:
            self._check_summary(f"{folder}/{SUMMARY}")
            self.store.remove(f"{folder}/{SUMMARY}")
        with ThreadPoolExecutor(AT_ONCE) as senders:
            sent = [senders.submit(self._send, staged / name, f"{folder}/{name}") for name in files if name != SUMMARY]
            sent += [senders.submit(self.store.remove, f"{folder}/{name}") for name in former - {*files}]
            for one in sent:
                one.result()
        self._send(staged / SUMMARY, f"{folder}/{SUMMARY}")
        for name in files:
            (staged / name).unlink()
        staged.rmdir()

    def _send(self, file: Path, name: str) -> None:
        self.store.write(name, file.read_bytes())

    def _check_summary(self, name: str) -> None:
        try:
            summary = json.loads(self.store.read(name))
            ours = "attnviz" in summary and isinstance(summary["files"], list)
        except (ValueError, KeyError, TypeError, RecursionError):
            ours = False
        if not ours:
            raise OutputError(
                f"{self.at(name)}: was not written by attnviz, so it is left alone; choose another output folder"
            )

    def is_there(self, record: Record) -> bool:
        """The manifest is believed: to look would take two requests a photo."""
        return True

    def names(self, folder: str) -> set[str]:
        return self.store.names(folder)

    def read(self, name: str) -> bytes:
        return self.store.read(name)

    def write(self, name: str, data: bytes) -> None:
        self.store.write(name, data)

    def remove(self, name: str) -> None:
        with suppress(AttnvizError):
            self.store.remove(name)

    def at(self, name: str) -> str:
        return f"{self.store.url}/{name}"
