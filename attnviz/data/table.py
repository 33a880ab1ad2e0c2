"""Makes training splits (see `attnviz.data`) of photos and a table of captions, as a spreadsheet saves it.

A row for each caption: the photo's name and what is said of it, in columns that a first row may name. Commas,
semicolons, tabs and bars part the columns. So Kaggle's captions.txt of Flickr8k and results.csv of Flickr30k are read.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attnviz.data.writing import Progress, check_photos, read_text, write_split
from attnviz.errors import DataError, counted

PHOTO = frozenset({"image", "image_name", "photo", "file", "filename", "file_name", "name", "path"})
TEXT = frozenset({"caption", "captions", "comment", "text", "description", "sentence"})
SPLIT = frozenset({"split", "set", "subset"})
DEV = frozenset({"dev", "val", "valid", "validation", "test"})

APART = re.compile(r"[\s,;:!?/()\[\]{}\"“”„«»…]+")
"""What stands between words."""

LONGEST = 2**20
"""Characters of one field."""


def make_splits(
    images: Path, captions: Path, out: Path, dev: int | None = None, progress: Progress | None = None
) -> dict[str, int]:
    """Writes OUT/train.zip, OUT/train.jsonl, OUT/dev.zip and OUT/dev.jsonl.

    Args:
        images: folder of the photos.
        captions: the table.
        out: folder for the splits.
        dev: how many photos are only measured on, where the table has no column `split`; None: a tenth, at least one.
        progress: called with (photos done, photos in all) of each split.

    Returns:
        split -> how many photos it has.

    Raises:
        DataError: for a table that is missing or is none, a photo that is missing, or too few photos for two splits.
        ImageError: for a photo that is damaged.
        OutputError: when a split cannot be written.
    """
    texts, chosen = read_table(captions)
    check_photos(images, texts)
    if not chosen:
        count = max(1, len(texts) // 10) if dev is None else dev
        if not 0 < count < len(texts):
            raise DataError(
                f"{captions}: tells of {counted(len(texts), 'photo')}, too few to learn from and to measure on {count}"
            )
        # By a hash of the name: the same ones each time, and whatever order the table has.
        ordered = sorted(texts, key=lambda name: hashlib.sha256(name.encode()).digest())
        chosen = {name: "dev" if place < count else "train" for place, name in enumerate(ordered)}
    splits = {
        split: {name: _line(found) for name, found in texts.items() if chosen[name] == split}
        for split in ("train", "dev")
    }
    if empty := [split for split, lines in splits.items() if not lines]:
        raise DataError(f"{captions}: its column 'split' leaves no photo to {empty[0]}")
    for split, lines in splits.items():
        write_split(images, out / split, lines, progress)
    return {split: len(lines) for split, lines in splits.items()}


def read_table(path: Path) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Photo -> its captions; and photo -> "train" or "dev", empty where the table does not say.

    Raises:
        DataError: for a file that is missing or is no such table; the message names the line.
    """
    rows = _rows(path)
    heading = [cell.strip().lower().lstrip("\ufeff") for cell in rows[0][1]]
    photo, words, split = _columns(heading)
    if photo is None and words:
        raise DataError(f"{path}: no column is called image; the first row names {', '.join(heading)}")
    body = rows if photo is None else rows[1:]
    photo, words = (0, list(range(1, max(len(cells) for _, cells in rows)))) if photo is None else (photo, words)
    if not words:
        raise DataError(f"{path}: has no captions; write a row for each, with the columns image and caption")
    texts: dict[str, list[str]] = {}
    chosen: dict[str, str] = {}
    for number, cells in body:
        if len(cells) > len(heading) and len(heading) - 1 in words and body is not rows:
            cells[len(heading) - 1 :] = [", ".join(cells[len(heading) - 1 :])]  # commas in a caption without quotes
        name = cells[photo].strip() if photo < len(cells) else ""
        said = [cells[place].strip() for place in words if place < len(cells) and _words(cells[place])]
        if not name or not said:
            raise DataError(f"{path}, line {number}: has no {'caption' if name else 'photo'}")
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(f"{path}, line {number}: {name!r} is not the name of a photo in the folder")
        texts.setdefault(name, []).extend(said)
        if split is not None:
            kind = "dev" if split < len(cells) and cells[split].strip().lower() in DEV else "train"
            if chosen.setdefault(name, kind) != kind:
                raise DataError(f"{path}, line {number}: {name} is in both splits")
    if not texts:
        raise DataError(f"{path}: names no photo; write a row for each caption, with the columns image and caption")
    return texts, chosen


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """(line, cells) of every row that holds anything."""
    text = read_text(path).lstrip("\ufeff")
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        raise DataError(f"{path}: is empty; write a row for each caption, with the columns image and caption")
    mark = next((char for char in first if char in ",;\t|"), ",")  # a caption may have others of them
    csv.field_size_limit(LONGEST)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True)
    try:
        return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: is no table of columns ({error})") from error


def _columns(heading: Sequence[str]) -> tuple[int | None, list[int], int | None]:
    """The places of the photo, of its captions and of the split, as far as the first row names them."""
    photo = next((place for place, name in enumerate(heading) if name in PHOTO), None)
    words = [place for place, name in enumerate(heading) if re.sub(r"[ _-]?[0-9]+$", "", name) in TEXT]
    split = next((place for place, name in enumerate(heading) if name in SPLIT), None)
    return photo, words, split if photo is not None else None


def _line(captions: Sequence[str]) -> Mapping[str, Any]:
    return {
        "captions": [{"tokens": _words(text), "phrases": []} for text in captions],
        "boxes": {},
        "references": list(captions),
    }


def _words(text: str) -> list[str]:
    """The words of a sentence as people write it, without the signs around them."""
    found = []
    for word in APART.split(text):
        start, end = 0, len(word)
        while start < end and unicodedata.category(word[start])[0] in "PS":
            start += 1
        while start < end and unicodedata.category(word[end - 1])[0] in "PS":
            end -= 1
        if start < end:
            found.append(word[start:end])
    return found
