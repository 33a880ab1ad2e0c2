"""What a run leaves for people: a gallery, `index.html`, and a table, `captions.csv`."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz.batch.gallery import write_gallery
from attnviz.batch.gallery.cards import percent
from attnviz.batch.manifest import everything
from attnviz.errors import one_line

if TYPE_CHECKING:
    from attnviz.batch.outs import Out
    from attnviz.batch.record import Record

GALLERY, TABLE = "index.html", "captions.csv"

COLUMNS = ("path", "state", "caption", "probability", "entropy", "folder", "error")
KEY = "key"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # what makes a spreadsheet take a cell for a formula


def write_report(
    out: Out,
    photo: Callable[[str], bytes | None],
    threads: int | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Path | str:
    """Writes the gallery, with the files beside it, and the table, of all photos that the manifests in `out` tell of.

    Those of other shards too.

    Args:
        out: the output folder.
        photo: gives the bytes of the photo of a path; None where it cannot be read any more.
        threads: how many make its files; None for one a core.
        progress: is told how many photos the gallery has by now.

    Returns:
        The gallery's path, or its URL.

    Raises:
        OutputError: one of the files cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="attnviz-") as scratch:
        records = everything(out.manifests(Path(scratch)))
    out.write(TABLE, table(records))
    write_gallery(GALLERY, records, out, photo, threads, progress)
    return out.at(GALLERY)


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
