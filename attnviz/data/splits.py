"""Captioned photos with phrases and boxes: SPLIT.zip and SPLIT.jsonl, as `attnviz guide training` says."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attnviz.data.words import normalise
from attnviz.errors import DataError, ImageError, counted
from attnviz.files import absent, composed, is_file
from attnviz.photo import image

MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError)
"""What reading a line that holds anything at all may raise."""

MAX_LINE = 2**24
"""Bytes of a line: thousands of times what a photo's captions and boxes take."""

MAX_PHOTO = 2**28
"""Bytes of a photo in the zip, unpacked."""

SLACK = 0.02
"""How far a box may reach beyond the photo, as a fraction of it: annotators' boxes do by a pixel or two."""


@dataclass(frozen=True)
class Phrase:
    """Words [start, end) of a caption that name the thing called `chain`."""

    start: int
    end: int
    chain: str
    types: tuple[str, ...] = ()


@dataclass(frozen=True)
class Caption:
    """Normalised words, and the phrases over them; `listed` when no person wrote it, but it was made from names."""

    words: tuple[str, ...]
    phrases: tuple[Phrase, ...] = ()
    listed: bool = False


@dataclass(frozen=True)
class Record:
    """One photo.

    Attributes:
        image: its name in the zip.
        size: (H, W) of the original, in pixels.
        captions: most often five.
        boxes: chain -> (n, 4) of (y0, x0, y1, x1) as fractions of height and width.
        objects: names of things in the photo; empty where the data have none.
    """

    image: str
    size: tuple[int, int]
    captions: tuple[Caption, ...]
    boxes: Mapping[str, np.ndarray]
    objects: tuple[str, ...] = ()


class Split:
    """The records of one split and their photos. `len`, iteration and indexing are over records.

    Args:
        path: SPLIT, SPLIT.jsonl or SPLIT.zip; both files lie side by side.

    Raises:
        DataError: for a missing or malformed file; the message names file and line.
    """

    def __init__(self, path: str | Path) -> None:
        stem = Path(path)
        stem = stem.with_suffix("") if stem.suffix in (".jsonl", ".zip") else stem
        if not stem.name:
            raise DataError(f"{str(path)!r}: names no split; a split is SPLIT.jsonl with SPLIT.zip beside it")
        self.name = stem.name
        self.lines, self.archive = stem.with_name(f"{stem.name}.jsonl"), stem.with_name(f"{stem.name}.zip")
        for file in (self.lines, self.archive):
            if not is_file(file):
                raise DataError(f"{file}: {absent(file, mend='a split is SPLIT.jsonl with SPLIT.zip beside it')}")
        self.records = tuple(_read_records(self.lines))
        if not self.records:
            raise DataError(f"{self.lines}: holds no record")
        with self._opened() as photos:
            # By their composed form, since macOS writes names decomposed.
            self._names = {composed(name): name for name in photos.namelist()}
        if missing := [record.image for record in self.records if composed(record.image) not in self._names]:
            lacks = counted(len(missing), "photo")
            raise DataError(f"{self.archive}: lacks {lacks} that {self.lines.name} names, {missing[0]} first")

    def with_records(self, records: Iterable[Record]) -> Split:
        """The same files with other records; their photos must be in the zip."""
        other = copy(self)
        other.records = tuple(records)
        return other

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __getitem__(self, index: int) -> Record:
        return self.records[index]

    def photos(self, start: int = 0, stop: int | None = None) -> Iterator[image.Photo]:
        """The photos of records [start, stop), as they lie in the zip. Raises ImageError for a damaged one."""
        with self._opened() as archive:
            for record in self.records[start:stop]:
                try:
                    with archive.open(self._names[composed(record.image)]) as file:
                        content = file.read(MAX_PHOTO + 1)
                    if len(content) > MAX_PHOTO:
                        raise ValueError(f"it has more than {MAX_PHOTO:,} bytes")
                except Exception as error:  # damaged members make zlib and zipfile raise nearly anything
                    raise ImageError(
                        f"{self.archive}: {record.image} in it is damaged ({error}); copy it again"
                    ) from error
                try:
                    yield image.load(content, name=record.image)
                except ImageError as error:
                    raise ImageError(f"{self.archive}: {error}") from error

    @contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        try:
            archive = zipfile.ZipFile(self.archive)
        except Exception as error:  # as above
            raise DataError(f"{self.archive}: not a readable zip file ({error}); copy it again") from error
        with archive:
            yield archive


def _read_records(path: Path) -> Iterator[Record]:
    number = 0
    with path.open("rb") as lines:
        try:
            while line := lines.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE:
                    raise ValueError(f"it has more than {MAX_LINE:,} bytes")
                yield _record(json.loads(line))
        except MALFORMED as error:
            raise DataError(f"{path}, line {number}: not a record ({type(error).__name__}: {error})") from error


def _record(values: Mapping[str, Any]) -> Record:
    boxes = {}
    for chain, corners in values.get("boxes", {}).items():
        x0, y0, x1, y1 = np.asarray(corners, float).reshape(-1, 4).T
        boxes[str(chain)] = found = np.stack([y0, x0, y1, x1], 1)
        if not ((found >= -SLACK) & (found <= 1 + SLACK)).all() or (x1 < x0).any() or (y1 < y0).any():
            raise ValueError(f"box {corners} is not [x0, y0, x1, y1] in fractions of width and height")
    objects = values.get("objects", [])
    if not isinstance(objects, list) or not all(isinstance(thing, str) for thing in objects):
        raise TypeError("objects must be a list of names")
    return Record(
        image=str(values["image"]),
        size=(int(values.get("height", 0)), int(values.get("width", 0))),
        captions=tuple(_caption(caption) for caption in values.get("captions", ())),
        boxes=boxes,
        objects=tuple(objects),
    )


def _caption(values: Mapping[str, Any]) -> Caption:
    """Drops the tokens that are no words, and moves the phrases along."""
    if not isinstance(values["tokens"], list):
        raise TypeError("tokens must be a list of words")
    words = [normalise(token) for token in values["tokens"]]
    before = np.concatenate([[0], np.cumsum([bool(word) for word in words])]).tolist()
    phrases = []
    for start, end, chain, *types in values.get("phrases", ()):
        if not 0 <= start < end <= len(words):
            raise ValueError(f"phrase [{start}, {end}) lies outside its {counted(len(words), 'token')}")
        if before[start] < before[end]:
            phrases.append(Phrase(before[start], before[end], str(chain), tuple(types[0]) if types else ()))
    return Caption(tuple(word for word in words if word), tuple(phrases))
