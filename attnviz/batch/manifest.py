"""The manifest: a line of JSON for each photo, written when its results are in place.

A line is added in one write, so it outlives the process that wrote it. One that a crash cut off is dropped when the
file is read again, and its photo is done anew.
"""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from attnviz.batch.ledger import Ledger
from attnviz.batch.record import DONE, FAILED, FIELDS, Record
from attnviz.files import saved
from attnviz.render.folder import output_errors

__all__ = ["DONE", "FAILED", "FIELDS", "Ledger", "Manifest", "Record"]

SAVED_EVERY = 1.0  # seconds

_NAME = re.compile(r"manifest(-[0-9]+-of-[0-9]+)?\.jsonl")


def manifest_name(shard: tuple[int, int]) -> str:
    """`manifest.jsonl`, or `manifest-2-of-4.jsonl` for the second of four parts."""
    number, count = shard
    return "manifest.jsonl" if count == 1 else f"manifest-{number}-of-{count}.jsonl"


def manifests(out: Path) -> list[Path]:
    """The manifests in an output folder, of all shards."""
    return sorted(path for path in out.glob("manifest*.jsonl") if _NAME.fullmatch(path.name))


def read(path: Path) -> tuple[dict[str, Record], bool]:
    """The last record of each photo, and whether the file is as it should be: whole lines, one a photo.

    Raises:
        OutputError: the file cannot be read, or is not one of attnviz.
    """
    ledger = Ledger(path)
    records = {record.path: record for record in ledger}
    ledger.close()
    return records, ledger.whole


class Manifest:
    """The manifest of one run.

    Args:
        path: of the file; it need not be there.
        replace: writes a file piece by piece, whole or not at all.

    Attributes:
        records: the last ones of each photo.

    Raises:
        OutputError: the file is not one of attnviz, or cannot be written.
    """

    def __init__(self, path: Path, replace: Callable[[Path, Iterable[bytes]], None]) -> None:
        self.path, self._replace = path, replace
        self.records = Ledger(path)
        if not self.records.whole:
            self._rewrite(lambda record: True)
        with output_errors(path):
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        self._closing, self._unsaved = threading.Event(), False
        self._saver = threading.Thread(target=self._save, name="manifest", daemon=True)
        self._saver.start()

    def append(self, record: Record) -> None:
        """Adds a line, in one write, which outlives the process. The disk has it within `SAVED_EVERY` seconds.

        Raises:
            OutputError: it could not be written; the file is then as it was.
        """
        line = record.to_line()
        with output_errors(self.path):
            size = os.fstat(self._descriptor).st_size
            try:
                if os.write(self._descriptor, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                os.ftruncate(self._descriptor, size)
                raise
        self.records.note(record.path, size)
        self._unsaved = True

    def finish(self, present: Callable[[str], bool]) -> None:
        """Leaves one line for each photo, by path. Failures of photos that are gone are forgotten.

        Args:
            present: whether a path is among the files that there are, also those that this run was not asked for.
        """
        self.close()
        self._rewrite(lambda record: record.state == DONE or present(record.path))

    def close(self) -> None:
        """Closes the file, once the disk has it."""
        if self._descriptor >= 0:
            self._closing.set()
            self._saver.join()
            os.close(self._descriptor)
            self._descriptor = -1
        self.records.close()

    def _save(self) -> None:
        """On a thread of its own: waiting for the disk also waits for all pictures just written."""
        closing = False
        while not closing:
            closing = self._closing.wait(SAVED_EVERY)
            self._sync(closing)

    def _sync(self, closing: bool) -> None:
        if self._unsaved:
            self._unsaved = False
            with suppress(OSError):  # a disk that fails here fails the next write too
                saved(self._descriptor)

    def _rewrite(self, keep: Callable[[Record], bool]) -> None:
        self._replace(self.path, self.records.lines(keep))


def lines(records: Mapping[str, Record]) -> bytes:
    """The file of these records, by path."""
    return b"".join(records[path].to_line() for path in sorted(records))


def everything(paths: Sequence[Path]) -> list[Record]:
    """The records of several manifests, one a photo, by path; a finished one goes before a failure."""
    found: dict[str, Record] = {}
    for path in paths:
        for record in read(path)[0].values():
            if record.path not in found or record.state == DONE:
                found[record.path] = record
    return [found[path] for path in sorted(found)]
