"""What a source holds, however many files that are: on the disk, sorted there, and read in order."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Container, Iterable, Iterator
from typing import NamedTuple

from attnviz.batch.listed import Listed, Stamp
from attnviz.batch.names import apart, mark
from attnviz.batch.tables import PAGE, Row, Tables, key, text

NOTHING, ALIKE, PHOTO = range(3)
"""What a file is: of no interest, like a photo but not asked for, or a photo that is asked for."""

_LAYOUT = (
    "CREATE TABLE found (path BLOB, late INT, kind INT, mine INT, mark INT, rest BLOB)",
    "CREATE TABLE files (path BLOB PRIMARY KEY, late INT, kind INT, mine INT, mark INT, rest BLOB) WITHOUT ROWID",
)
_COLUMNS = "path, late, mark, rest"


class Catalogue:
    """All files of a source. Whether it holds a path is whether there is such a file, asked for or not.

    Args:
        files: in any order; of several with the same path the first one counts.
        kind: what a file is, and whether it belongs to the shard of this run.

    Attributes:
        any_photos: whether there is a photo that is asked for, in any shard.

    Raises:
        AttnvizError: as `Tables` does, and whatever `files` raises.
    """

    def __init__(self, files: Iterable[Listed], kind: Callable[[Listed], tuple[int, bool]]) -> None:
        self.tables = Tables(*_LAYOUT)
        self.tables.fill("INSERT INTO found VALUES (?, ?, ?, ?, ?, ?)", (_row(one, *kind(one)) for one in files))
        self.tables.ask(  # in order, so that the table grows at its end; with min() the other columns are of that row
            "INSERT INTO files SELECT path, late, kind, mine, mark, rest FROM "
            "(SELECT *, min(rowid) FROM found GROUP BY path) ORDER BY path"
        )
        self.tables.ask("DROP TABLE found")
        # Over all files: what is taken this time shall not change where the results of a photo go.
        alike = self.tables.ask("SELECT mark FROM files WHERE NOT late GROUP BY mark HAVING count(*) > 1")
        self._alike = {mark for (mark,) in alike}
        self.any_photos = bool(self.tables.ask("SELECT 1 FROM files WHERE kind = ? LIMIT 1", PHOTO))

    def __contains__(self, path: object) -> bool:
        return bool(self.tables.ask("SELECT 1 FROM files WHERE path = ?", key(str(path))))

    def paths(self, kind: int, mine: bool) -> tuple[str, ...]:
        """The files of a kind, of the shard of this run or of all of them."""
        rows = self.tables.ask("SELECT path FROM files WHERE kind = ? AND mine >= ? ORDER BY path", kind, mine)
        return tuple(text(path) for (path,) in rows)

    def listed(self, row: Row) -> Listed:
        """A file, out of its row."""
        path = text(row[0])
        error, origin, span, stamp = pickle.loads(row[3]) if row[3] is not None else (None,) * 4
        folder = apart(path) if row[2] in self._alike and error is None else None
        return Listed(path, folder, error, origin, span, None if stamp is None else Stamp(*stamp))


class Photos:
    """The photos of this run's shard, in the order of their paths; folders that cannot be read come last.

    Iterating reads them again, a few at a time; several may do so, and threads may share an iterator that they guard.

    Args:
        files: of which they are.
        table: where their paths stand, if they are not all that is asked for.
    """

    def __init__(self, files: Catalogue, table: str | None = None) -> None:
        self._files = files
        # CROSS JOIN has SQLite read the tables as they stand here: those of the table, in order, each looked up.
        self._from = f"{table} CROSS JOIN files USING (path)" if table else "files"
        rows = files.tables.ask(f"SELECT late, count(*) FROM {self._from} WHERE kind = ? AND mine GROUP BY late", PHOTO)
        self._counts: dict[int, int] = dict(rows)

    def __len__(self) -> int:
        return sum(self._counts.values())

    def __iter__(self) -> Iterator[Listed]:
        wanted = f"SELECT {_COLUMNS} FROM {self._from} WHERE path > ? AND late = ? AND kind = ? AND mine"
        for late in sorted(self._counts):
            last = b""
            while rows := self._files.tables.ask(f"{wanted} ORDER BY path LIMIT ?", last, late, PHOTO, PAGE):
                yield from map(self._files.listed, rows)
                last = rows[-1][0]

    def get(self, path: str) -> Listed | None:
        """The photo of a path; None where there is none."""
        wanted = f"SELECT {_COLUMNS} FROM {self._from} WHERE path = ? AND kind = ? AND mine"
        return next(map(self._files.listed, self._files.tables.ask(wanted, key(path), PHOTO)), None)

    def only(self, keep: Callable[[Listed], bool]) -> Photos:
        """Those that `keep` says yes to; each is asked about once."""
        table = f"kept_{len(self._files.tables.ask('SELECT 1 FROM sqlite_master'))}"
        self._files.tables.ask(f"CREATE TABLE {table} (path BLOB PRIMARY KEY) WITHOUT ROWID")
        kept: list[Row] = []
        for one in self:
            if keep(one):
                kept.append((key(one.path),))
            if len(kept) >= PAGE:
                self._files.tables.fill(f"INSERT INTO {table} VALUES (?)", kept)
                kept.clear()
        self._files.tables.fill(f"INSERT INTO {table} VALUES (?)", kept)
        return Photos(self._files, table)


class Found(NamedTuple):
    """What a source holds.

    Attributes:
        photos: those that are asked for, in the order of their paths.
        left_out: the paths of files that look like photos but were not asked for.
        present: the paths of all files, asked for or not, and of the folders that cannot be read.
    """

    photos: Photos
    left_out: tuple[str, ...]
    present: Container[str]


def _row(one: Listed, kind: int, mine: bool) -> Row:
    rest = (one.error, one.origin, one.span, None if one.stamp is None else tuple(one.stamp))
    late = one.error is not None
    packed = None if rest == (None,) * 4 else pickle.dumps(rest, protocol=5)
    return key(one.path), late, kind, mine, 0 if late else mark(one.path), packed
