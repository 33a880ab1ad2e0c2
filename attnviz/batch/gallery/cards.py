"""The markup of the gallery's tiles, which says everything without a script too; whatever it holds is escaped."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from attnviz.batch.gallery.files import FOLDER, Entry
from attnviz.errors import one_line

if TYPE_CHECKING:
    from attnviz.batch.gallery.tiles import Tile
    from attnviz.batch.record import Record

_STEP = re.compile(r"step-([0-9]+)-.*")
_OPENS = ("attention.html", "overview.png", "attention.gif", "attention.webp", "attention.apng", "attention.mp4")


def card(record: Record, tile: Tile | None, entry: Entry | None, size: tuple[int, int]) -> str:
    """A photo that is done: its thumbnail of (H, W), words with a link from each to its picture, and numbers."""
    folder = percent(str(record.folder))
    opens = next((name for name in _OPENS if name in record.files), next(iter(record.files), ""))
    image = ""
    if entry is not None:
        image = (
            f'<img src="{FOLDER}/{entry.thumbnail}" width="{size[1]}" height="{size[0]}" alt="" loading="lazy">'
            '<canvas aria-hidden="true"></canvas>'
        )
    doubtful = any(tile.doubtful()) if tile else False
    numbers = [
        f"{name} {value:.2f}"
        for name, value in (("probability", record.probability), ("entropy", record.entropy))
        if value is not None
    ]
    key = f' data-key="{entry.key}"' if entry is not None and entry.explorer else ""
    return (
        f'<li data-text="{_text(f"{record.path} {record.caption or str()}").casefold()}"{key} '
        f'data-probability="{_number(record.probability)}" data-entropy="{_number(record.entropy)}"'
        f"{' data-unsure' if doubtful else ''}>"
        f'<a class="photo" href="{folder}/{percent(opens)}" aria-label="{_text(record.path)}">{image}</a>'
        f'<p class="caption" dir="auto">{_words(record, tile, folder, f"{folder}/{percent(opens)}")}</p>'
        f'<p class="about"><a href="{folder}/">{_text(record.path)}</a></p>'
        f'<p class="about">{" · ".join(numbers)}</p></li>\n'
    )


def failed(record: Record) -> str:
    """A photo that failed, and why."""
    return (
        f'<li class="failed" data-text="{_text(record.path).casefold()}" data-probability="" data-entropy="">'
        f'<p class="path">{_text(record.path)}</p><p class="error">{_text(record.error or "failed")}</p></li>\n'
    )


def _words(record: Record, tile: Tile | None, folder: str, otherwise: str) -> str:
    """The caption's words, those that are drawn as links: to their picture, or where none was kept, to the photo's."""
    if tile is None:
        return _text(record.caption or "")
    files: dict[int, str] = {}
    for name in record.files:
        if match := _STEP.fullmatch(name):
            files.setdefault(int(match[1]), name)  # of compared traces the first comes first
    doubtful = dict(zip(tile.steps, tile.doubtful(), strict=True))
    return " ".join(
        _word(word, doubtful.get(index), f"{folder}/{percent(files[index])}" if index in files else otherwise)
        for index, word in enumerate(tile.words)
    )


def _word(word: str, doubtful: bool | None, link: str) -> str:
    if doubtful is None:  # not drawn
        return f"<span>{_text(word)}</span>"
    mark = ' class="unsure" title="the network was unsure of this word"' if doubtful else ""
    return f'<a href="{link}"{mark}>{_text(word)}</a>'


def _text(text: str) -> str:
    return html.escape(one_line(text))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def percent(path: str) -> str:
    """A path as it stands in a URL. Bytes that are no text come back as they were."""
    try:
        return quote(path.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:  # halves of characters, as Windows allows them in names
        return quote(path.encode("utf-8", "surrogatepass"))
