"""What a run leaves for people: `index.html`, a gallery in one file, and `captions.csv`."""

from __future__ import annotations

import base64
import csv
import html
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from attnviz.batch.manifest import DONE, Record, everything
from attnviz.errors import one_line
from attnviz.photo.glance import thumbnail
from attnviz.render.parallel import ordered

GALLERY, TABLE = "index.html", "captions.csv"
THUMBNAIL = 240  # pixels of the longest side
QUALITY = 55

COLUMNS = ("path", "state", "caption", "probability", "entropy", "folder", "error")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what makes a spreadsheet take a cell for a formula
_STEP = re.compile(r"step-([0-9]+)-")
_MOVING = ("attention.gif", "attention.webp", "attention.apng")


def write_report(out: Path, top: Path, replace: Callable[[Path, bytes], None], threads: int | None = None) -> Path:
    """Writes the gallery and the table of all photos that the manifests in `out` tell of, those of other shards too.

    Args:
        out, top: the folders of results and of photos.
        replace: writes bytes to a path, whole or not at all.
        threads: how many make thumbnails; None for one a core.

    Returns:
        The gallery's path.

    Raises:
        OutputError: one of the files cannot be written.
    """
    records = everything(out)
    replace(out / TABLE, table(records))
    done = [record for record in records if record.state == DONE]
    thumbnails = ordered(lambda record: thumbnail(top / record.path, THUMBNAIL, QUALITY), done, threads)
    replace(out / GALLERY, "".join(_page(records, map(_card, done, thumbnails))).encode())
    return out / GALLERY


def table(records: Sequence[Record]) -> bytes:
    """The records as CSV in UTF-8, with a mark for programs that would guess otherwise.

    A cell that a spreadsheet would take for a formula gets an apostrophe in front: a file may be called `=1+1.jpg`.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(getattr(record, column)) for column in COLUMNS] for record in records)
    return text.getvalue().encode("utf-8-sig")


def _cell(value: object) -> str:
    text = "" if value is None else one_line(str(value))
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _page(records: Sequence[Record], cards: Iterator[str]) -> Iterator[str]:
    failed = [record for record in records if record.state != DONE]
    template = files("attnviz.batch").joinpath("gallery", "gallery.html").read_text(encoding="utf-8")
    parts = {
        "style": files("attnviz.batch").joinpath("gallery", "gallery.css").read_text(encoding="utf-8"),
        "script": files("attnviz.batch").joinpath("gallery", "gallery.js").read_text(encoding="utf-8"),
        "count": str(len(records) - len(failed)),
        "failures": _failures(failed),
    }
    before, after = template.split("{{cards}}")
    yield _filled(before, parts)
    yield from cards
    yield _filled(after, parts)


def _filled(template: str, parts: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _card(record: Record, picture: tuple[bytes, str, tuple[int, int]] | None) -> str:
    """One photo: its thumbnail, the caption with a link from each word to its picture, and the numbers."""
    folder = quote(str(record.folder))
    moving = next((name for name in _MOVING if name in record.files), "")
    opens = next((name for name in ("attention.html", moving, "attention.mp4") if name in record.files), "")
    opens = opens or next(iter(record.files), "")
    caption = record.caption or ""
    shown = ""
    if picture is not None:
        data, kind, (height, width) = picture
        source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
        shown = f'<img src="{source}" width="{width}" height="{height}" alt="">'
    numbers = [
        f"{name} {value:.2f}"
        for name, value in (("probability", record.probability), ("entropy", record.entropy))
        if value is not None
    ]
    searched = html.escape(one_line(f"{record.path} {caption}").casefold())
    return (
        f'<li data-text="{searched}" data-probability="{_number(record.probability)}" '
        f'data-entropy="{_number(record.entropy)}">'
        f'<a class="photo" href="{folder}/{quote(opens)}" data-moving="{f"{folder}/{quote(moving)}" if moving else ""}"'
        f' aria-label="{html.escape(one_line(record.path))}">{shown}</a>'
        f'<p class="caption">{_words(record, folder)}</p>'
        f'<p class="about"><a href="{folder}/">{html.escape(one_line(record.path))}</a></p>'
        f'<p class="about">{" · ".join(numbers)}</p></li>\n'
    )


def _words(record: Record, folder: str) -> str:
    words = (record.caption or "").split(" ")
    steps = {int(match[1]): name for name in record.files if (match := _STEP.match(name))}
    return " ".join(
        f'<a href="{folder}/{quote(steps[index])}">{html.escape(one_line(word))}</a>'
        if index in steps
        else html.escape(one_line(word))
        for index, word in enumerate(words)
    )


def _failures(failed: Sequence[Record]) -> str:
    if not failed:
        return ""
    rows = "".join(
        f"<dt>{html.escape(one_line(record.path))}</dt><dd>{html.escape(one_line(record.error or ''))}</dd>"
        for record in failed
    )
    return f"<details><summary>{len(failed)} failed</summary><dl>{rows}</dl></details>"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"
