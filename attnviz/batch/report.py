"""What a run leaves for people: a gallery, `index.html`, and a table, `captions.csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from attnviz.batch.gallery import write_gallery
from attnviz.batch.gallery.cards import percent
from attnviz.batch.manifest import Record, everything
from attnviz.errors import one_line

GALLERY, TABLE = "index.html", "captions.csv"

COLUMNS = ("path", "state", "caption", "probability", "entropy", "folder", "error")
KEY = "key"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # what makes a spreadsheet take a cell for a formula


def write_report(
    out: Path,
    top: Path,
    replace: Callable[[Path, bytes], None],
    threads: int | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Path:
    """Writes the gallery, with the files beside it, and the table, of all photos that the manifests in `out` tell of.

    Those of other shards too.

    Args:
        out, top: the folders of results and of photos.
        replace: writes bytes to a path, whole or not at all.
        threads: how many make its files; None for one a core.
        progress: is told how many photos the gallery has by now.

    Returns:
        The gallery's path.

    Raises:
        OutputError: one of the files cannot be written.
    """
    records = everything(out)
    replace(out / TABLE, table(records))
    write_gallery(out / GALLERY, records, top, replace, threads, progress)
    return out / GALLERY


def table(records: Sequence[Record]) -> bytes:
    """The records as CSV in UTF-8, with a mark for programs that would guess otherwise.

    A cell that a spreadsheet would take for a formula gets an apostrophe in front: a file may be called `=1+1.jpg`.
    The last column is the path, percent-encoded, which never needs one, and is for programs to join tables by.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow((*COLUMNS, KEY))
    for record in records:
        writer.writerow([*(_cell(getattr(record, column)) for column in COLUMNS), key(record.path)])
    return text.getvalue().encode("utf-8-sig")


def key(path: str) -> str:
    """A path in characters that no program takes for anything else; `urllib.parse.unquote` gives it back."""
    encoded = percent(path)
    return "%2D" + encoded[1:] if encoded.startswith("-") else encoded


def _cell(value: object) -> str:
    text = "" if value is None else one_line(str(value))
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text
