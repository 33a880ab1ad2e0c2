"""Where each photo's last record lies in a manifest: that place stands on the disk too, and nothing in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from attnviz.batch.record import Record
from attnviz.batch.tables import PAGE, Row, Tables, key
from attnviz.errors import OutputError

_LAYOUT = "CREATE TABLE places (path BLOB PRIMARY KEY, place INT) WITHOUT ROWID"
_NOTE = "INSERT INTO places VALUES (?, ?) ON CONFLICT DO UPDATE SET place = excluded.place"


class Ledger:
    """The last record of each photo in a file of lines, read when it is asked for.

    Args:
        path: of the file; it need not be there.

    Attributes:
        whole: whether the file was as it should be: whole lines, one a photo.

    Raises:
        OutputError: the file cannot be read, or is not one of attnviz.
        AttnvizError: as `Tables` does; so do all methods.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.whole = path, True
        self._places = Tables(_LAYOUT)
        self._file: BinaryIO | None = None
        self._reading = threading.Lock()
        self._lines = 0
        try:
            with path.open("rb") as file:
                self._places.fill(_NOTE, self._read(file))
        except FileNotFoundError:
            return
        except OSError as error:
            raise OutputError(f"{path}: cannot be read: {error.strerror or error}") from error
        photos = len(self)
        if self._lines and not photos:
            raise OutputError(f"{path}: was not written by attnviz, so it is left alone; choose another output folder")
        self.whole = self.whole and self._lines == photos

    def _read(self, file: BinaryIO) -> Iterator[Row]:
        """Where the record of each line begins; counts the lines, and says whether the last one has its end."""
        at = 0
        for line in file:
            self.whole = line.endswith(b"\n")
            if self.whole:  # a last line without its end is one that a crash cut off
                self._lines += 1
                if (record := Record.from_line(line)) is not None:
                    yield key(record.path), at
            at += len(line)

    def __len__(self) -> int:
        """How many photos; it counts them."""
        ((count,),) = self._places.ask("SELECT count(*) FROM places")
        return int(count)

    def __iter__(self) -> Iterator[Record]:
        """The records, by path."""
        last, wanted = b"", "SELECT path, place FROM places WHERE path > ? ORDER BY path LIMIT ?"
        while rows := self._places.ask(wanted, last, PAGE):
            yield from filter(None, (self._at(place) for _, place in rows))
            last = rows[-1][0]

    def get(self, path: str) -> Record | None:
        """The last record of a photo; None where there is none."""
        found = self._places.ask("SELECT place FROM places WHERE path = ?", key(path))
        return self._at(found[0][0]) if found else None

    def note(self, path: str, place: int) -> None:
        """A photo's last record begins at this byte now."""
        self._places.ask(_NOTE, key(path), place)

    def lines(self, keep: Callable[[Record], bool] = lambda record: True) -> Iterator[bytes]:
        """The lines of the records that are kept, by path; what it gives is what the file is to become."""
        places, at, page = Tables(_LAYOUT), 0, list[Row]()
        for record in self:
            if keep(record):
                line = record.to_line()
                page.append((key(record.path), at))
                if len(page) >= PAGE:
                    places.fill(_NOTE, page)
                    page.clear()
                at += len(line)
                yield line
        places.fill(_NOTE, page)
        self.close()
        self._places = places

    def close(self) -> None:
        """Closes the file, before another takes its place; the next `get` opens that one."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _at(self, place: int) -> Record | None:
        with self._reading:
            if self._file is None:
                self._file = self.path.open("rb")
            self._file.seek(place)
            return Record.from_line(self._file.readline())
