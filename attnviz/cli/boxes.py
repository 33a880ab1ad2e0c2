"""The file of `--boxes`: which boxes people drew on which photo."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from attnviz.errors import DataError
from attnviz.files import absent, composed, spelled

if TYPE_CHECKING:
    from attnviz.photo.image import Photo

MAX_BYTES = 2**28
"""Of the whole file: the lines of a large split."""

MAX_LINE = 2**24
"""Characters of one JSON value, which takes many times that once it is read: the boxes of 100,000 photos."""

SLACK = 1e-3  # beyond the photo, by rounding

MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)
"""What reading a line that holds anything at all may raise."""

Corners = list[list[float]]
Named = dict[str, Corners]  # word -> boxes; under "" those of no word
FORM = '{"photo.jpg": {"dog": [[x0, y0, x1, y1]]}}, in fractions of width and height, or the lines of a SPLIT.jsonl'


def boxes_of(path: str, photos: list[Photo]) -> list[Any]:
    """For each photo what `attnviz.figure` takes as its boxes, found by the photo's file name.

    Raises:
        DataError: a file that cannot be read or does not name a photo.
    """
    wanted = {composed(photo.name) for photo in photos}  # macOS writes names in another Unicode form
    named: dict[str, Named] = {}
    others: list[str] = []
    for name, boxes_of_one in _read(path):
        if composed(name) in wanted:
            named[composed(name)] = boxes_of_one
        else:
            others.append(name)
    found = []
    for photo in photos:
        if composed(photo.name) not in named:
            raise DataError(f"{path}: has no boxes of {photo.name}; it names {_some([*named, *others])}")
        height, width = photo.size
        boxes = {
            word: [[y0 * height, x0 * width, y1 * height, x1 * width] for x0, y0, x1, y1 in corners]
            for word, corners in named[composed(photo.name)].items()
        }
        found.append(boxes)
    return found


def _read(path: str) -> Iterator[tuple[str, Named]]:
    try:
        text = _bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no text; write it as {FORM}") from error
    try:
        whole = json.loads(text) if len(text) <= MAX_LINE else None
    except (ValueError, RecursionError):  # lines, perhaps
        whole = None
    if isinstance(whole, Mapping) and "image" not in whole:
        for name, boxes in whole.items():
            yield str(name), _named(path, f"of {name}", boxes)
        return
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise DataError(f"{path}: is empty; write it as {FORM}")
    for number, line in lines:
        try:
            if len(line) > MAX_LINE:
                raise ValueError("too long")
            record = json.loads(line)
            yield str(record["image"]), _of_record(path, number, record)
        except MALFORMED as error:
            raise DataError(f"{path}, line {number}: holds no boxes; write the file as {FORM}") from error


def _bytes(path: str) -> bytes:
    try:
        with spelled(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise DataError(f"{path}: {absent(path)}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MAX_BYTES:
        raise DataError(f"{path}: is larger than {MAX_BYTES:,} bytes; give a file with the boxes alone")
    return data


def _of_record(path: str, number: int, record: Mapping[str, Any]) -> Named:
    """The boxes of a split's line, each thing's under the last word of the phrases that name it: (a brown) dog."""
    chains = _named(path, f"in line {number}", record.get("boxes", {}))
    words: dict[str, set[str]] = {chain: set() for chain in chains}
    for caption in record.get("captions", ()):
        for _, end, chain, *_ in caption.get("phrases", ()):
            words.get(str(chain), set()).add(str(caption["tokens"][end - 1]).casefold())
    found: Named = {}
    for chain, corners in chains.items():
        for word in sorted(words[chain]) or [""]:
            found.setdefault(word, []).extend(corners)
    return found


def _named(path: str, where: str, boxes: Any) -> Named:
    named: Named = {}
    for word, some in boxes.items() if isinstance(boxes, Mapping) else [("", boxes)]:
        if not isinstance(some, list):
            raise DataError(f"{path}: the boxes {where} are no list; write the file as {FORM}")
        named[str(word)] = [_corners(path, where, box) for box in some]
    return named


def _corners(path: str, where: str, box: Any) -> list[float]:
    match box:
        case [int() | float() as x0, int() | float() as y0, int() | float() as x1, int() | float() as y1]:
            if all(-SLACK <= value <= 1 + SLACK for value in (x0, y0, x1, y1)) and x0 <= x1 and y0 <= y1:
                return [float(value) for value in (x0, y0, x1, y1)]
    raise DataError(
        f"{path}: a box {where} is {_shown(box)}, not [x0, y0, x1, y1] in fractions from 0 to 1; "
        "divide pixels by the photo's width and height"
    )


def _shown(box: Any) -> str:
    try:
        return json.dumps(box)[:60]
    except (ValueError, RecursionError):
        return "something else"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") if names else "no photo"
