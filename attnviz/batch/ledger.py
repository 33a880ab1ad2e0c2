"""Where each photo's last record lies in a manifest on the disk: memory holds that place, and not the record."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from attnviz.batch.record import Record
from attnviz.errors import OutputError


class Ledger:
    """The last record of each photo in a file of lines, read when it is asked for.

    Args:
        path: of the file; it need not be there.

    Attributes:
        whole: whether the file was as it should be: whole lines, one a photo.

    Raises:
        OutputError: the file cannot be read, or is not one of attnviz.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.whole = path, True
        self._places: dict[str, int] = {}
        self._file: BinaryIO | None = None
        self._reading = threading.Lock()
        count, at, line = 0, 0, b"\n"
        try:
            with path.open("rb") as file:
                for line in file:
                    if line.endswith(b"\n"):  # a last line without its end is one that a crash cut off
                        count += 1
                        if (record := Record.from_line(line)) is not None:
                            self._places[record.path] = at
                    at += len(line)
        except FileNotFoundError:
            return
        except OSError as error:
            raise OutputError(f"{path}: cannot be read: {error.strerror or error}") from error
        if count and not self._places:
            raise OutputError(f"{path}: was not written by attnviz, so it is left alone; choose another output folder")
        self.whole = line.endswith(b"\n") and count == len(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Record]:
        """The records, by path."""
        return filter(None, map(self.get, sorted(self._places)))

    def get(self, path: str) -> Record | None:
        """The last record of a photo; None where there is none."""
        place = self._places.get(path)
        if place is None:
            return None
        with self._reading:
            if self._file is None:
                self._file = self.path.open("rb")
            self._file.seek(place)
            return Record.from_line(self._file.readline())

    def note(self, path: str, place: int) -> None:
        """A photo's last record begins at this byte now."""
        self._places[path] = place

    def lines(self, keep: Callable[[Record], bool] = lambda record: True) -> Iterator[bytes]:
        """The lines of the records that are kept, by path; what it gives is what the file is to become."""
        places, at = dict[str, int](), 0
        for record in self:
            if keep(record):
                line = record.to_line()
                places[record.path] = at
                at += len(line)
                yield line
        self.close()
        self._places = places

    def close(self) -> None:
        """Closes the file, before another takes its place; the next `get` opens that one."""
        if self._file is not None:
            self._file.close()
            self._file = None
