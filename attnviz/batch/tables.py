"""Tables in a file of the disk that has no name: what grows with the number of photos stands there, not in memory."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from attnviz.errors import AttnvizError

PAGE = 1024
"""Rows that are read at once."""

MEMORY = 512
"""Kilobytes of a database that are in memory, and as much again while it sorts; more makes nothing faster here."""

Row = tuple[Any, ...]


class Tables:
    """A database of SQLite, which any thread may ask. Its file goes with it, also where the process is killed.

    Args:
        layout: the statements that make the tables.

    Raises:
        AttnvizError: the disk for temporary files is full or cannot be written; so do all methods.
    """

    def __init__(self, *layout: str) -> None:
        self._asking = threading.Lock()
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        # From Python 3.13 on, a database that is left open is warned of.
        self._end = weakref.finalize(self, self._database.close)
        # Nothing of it outlives the process, so there is nothing to be saved from a crash.
        fast = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", f"PRAGMA cache_size = -{MEMORY}")
        for statement in (*fast, *layout):
            self.ask(statement)

    def ask(self, statement: str, *values: Any) -> list[Row]:
        """The rows that a statement gives."""
        found: list[Row] = self._try(lambda: self._database.execute(statement, values).fetchall())
        return found

    def fill(self, statement: str, rows: Iterable[Row]) -> None:
        """Does a statement with each of the rows, which may come from a generator that does not ask here."""

        def call() -> None:
            self._database.execute("BEGIN")
            self._database.executemany(statement, rows)
            self._database.execute("COMMIT")

        self._try(call)

    def close(self) -> None:
        """Removes them."""
        with self._asking:
            self._end()

    def _try(self, call: Callable[[], Any]) -> Any:
        try:
            with self._asking:
                return call()
        except sqlite3.OperationalError as error:
            raise AttnvizError(
                f"the disk for temporary files is full or cannot be written ({error}); make room, or set TMPDIR to a "
                "folder on another disk"
            ) from error


def key(path: str) -> bytes:
    """A path as tables hold it. The order of these bytes is that of the text, lone surrogates included."""
    return path.encode("utf-8", "surrogatepass")


def text(key: bytes) -> str:
    """The path again."""
    return key.decode("utf-8", "surrogatepass")
