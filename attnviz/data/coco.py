"""Makes training splits (see `attnviz.data`) from the public downloads of COCO 2017, or of data in its format.

COCO: Lin et al. 2014; captions: Chen et al. 2015. `captions_train2017.json` has about five sentences for each photo in
the folder train2017/, and `instances_train2017.json` each thing that was found in it, of 80 categories.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from attnviz.data.writing import read_names, read_text
from attnviz.errors import DataError, counted
from attnviz.files import absent, spelled

TOKEN = re.compile(r"\w+(?:['-]\w+)*|[^\w\s]")
"""A word with what an apostrophe or a hyphen ties to it ("children's", "close-up"), or a single other mark."""

KEPT = ("images", "annotations", "categories", "id", "image_id", "category_id", "caption", "name", "file_name")
"""What is kept of the files in memory. The rest, the outlines of things above all, would take gigabytes."""

POSE = "keypoints"
"""A key that categories have only where all of them are persons in their poses."""

MALFORMED = (KeyError, IndexError, TypeError, ValueError, AttributeError)
"""What reading JSON of another form may raise."""

Lines = dict[str, dict[str, Any]]


def make_lines(
    wanted: Mapping[str, Path | int],
    captions: Path | None = None,
    instances: Path | None = None,
    objects_only: Collection[str] = (),
) -> dict[str, Lines]:
    """What each split's lines say: split -> photo -> `captions` and `references`, and `objects`.

    Args:
        wanted: split -> a file that lists its photos, or how many to draw: the same ones each time, and none that
            another split of this call has. Those drawn have captions, or, where the split gets none, objects.
        captions: captions_train2017.json or the like; without it no split has captions.
        instances: instances_train2017.json or the like; without it no split has objects.
        objects_only: the splits that get no captions.

    Raises:
        DataError: for a file that is missing or not of this format, for photos that it does not know, and for too few
            to draw from; the message names it.
    """
    listed = {name: read_names(source) for name, source in wanted.items() if isinstance(source, Path)}
    sentences = read_captions(captions) if captions else {}
    things = read_objects(instances) if instances else {}
    taken = {photo for photos in listed.values() for photo in photos}
    splits = {}
    for name, source in wanted.items():
        told = captions if name not in objects_only else None
        if isinstance(source, Path):
            photos, whose = listed[name], f"{source.name} lists"
        else:
            known = sentences if told else things
            left = [photo for photo, has in known.items() if has and photo not in taken]
            photos = _draw(f"{name}={source}", source, left, told or instances)
            whose = f"{name}={source} draws"
            taken.update(photos)
        lines: Lines = {photo: {} for photo in photos}
        if told:
            _check_known(told, "captions of ", [photo for photo in photos if not sentences.get(photo)], whose)
            for photo, line in lines.items():
                line["captions"] = [{"tokens": tokens(text), "phrases": []} for text in sentences[photo]]
                line["references"] = sentences[photo]
        if instances:
            _check_known(instances, "", [photo for photo in photos if photo not in things], whose)
            for photo, line in lines.items():
                line["objects"] = things[photo]
        splits[name] = lines
    return splits


def tokens(sentence: str) -> list[str]:
    """`A dog's ball.` -> A, dog's, ball and a full stop."""
    return TOKEN.findall(sentence.replace("’", "'"))


def read_captions(path: Path) -> dict[str, list[str]]:
    """Photo -> its sentences in the file's order, which may be none.

    Raises:
        DataError: for a file that is missing or of another form.
    """
    usual = "captions_train2017.json"
    content = _read(path, usual)
    try:
        photos = _photos(path, content)
        entries = content["annotations"]
        if entries and "caption" not in entries[0]:
            raise DataError(f"{path}: its annotations are no captions; give {usual} or the like")
        found: dict[str, list[str]] = {photo: [] for photo in photos.values()}
        for entry in entries:
            if sentence := entry["caption"].strip():
                found[photos[entry["image_id"]]].append(sentence)
    except MALFORMED as error:
        raise _other_form(path, usual, error) from error
    return found


def read_objects(path: Path) -> dict[str, list[str]]:
    """Photo -> the names of the categories that are in it, sorted, each once; they may be none.

    Raises:
        DataError: for a file that is missing or of another form.
    """
    usual = "instances_train2017.json"
    content = _read(path, usual)
    try:
        photos = _photos(path, content)
        entries, categories = content["annotations"], content.get("categories", ())
        if (entries and "category_id" not in entries[0]) or any(POSE in category for category in categories):
            raise DataError(f"{path}: its annotations are not of objects; give {usual} or the like")
        names = _Ids(path, "category", {category["id"]: str(category["name"]) for category in categories})
        found: dict[str, set[str]] = {photo: set() for photo in photos.values()}
        for entry in entries:
            found[photos[entry["image_id"]]].add(names[entry["category_id"]])
    except MALFORMED as error:
        raise _other_form(path, usual, error) from error
    return {photo: sorted(things) for photo, things in found.items()}


class _Ids(dict[Any, str]):
    """Names by their numbers; an unknown number is the file's fault and raises DataError."""

    def __init__(self, path: Path, kind: str, names: Mapping[Any, str]) -> None:
        super().__init__(names)
        self._path, self._kind = path, kind

    def __missing__(self, number: Any) -> str:
        raise DataError(
            f"{self._path}: an annotation is of {self._kind} {number!r}, which it does not list; download it again"
        )


def _photos(path: Path, content: Any) -> _Ids:
    return _Ids(path, "image", {entry["id"]: str(entry["file_name"]) for entry in content["images"]})


def _read(path: Path, usual: str) -> Any:
    if not os.path.lexists(spelled(path)):
        where = f"{usual} is in COCO's annotations_trainval2017.zip"
        raise DataError(f"{path}: {absent(path, mend=where)}")
    try:
        return json.loads(read_text(path), object_hook=_slim)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not JSON ({error}); download it again, or give {usual}") from error


def _slim(values: dict[str, Any]) -> dict[str, Any]:
    """An object of the file as soon as it is read, without what nobody asks for."""
    slim = {key: values[key] for key in KEPT if key in values}
    if POSE in values:
        slim[POSE] = True
    return slim


def _other_form(path: Path, usual: str, error: Exception) -> DataError:
    return DataError(f"{path}: not in COCO's format ({type(error).__name__}: {error}); give {usual} or the like")


def _draw(asked: str, count: int, photos: Iterable[str], path: Path | None) -> list[str]:
    """Those whose names have the smallest hashes: the same ones whatever the order, and few others in a newer file."""
    ranked = sorted(photos, key=lambda photo: hashlib.sha256(photo.encode("utf-8", "surrogatepass")).digest())
    if count < 1:
        raise DataError(f"{asked}: draws no photo; give 1 or more")
    if count > len(ranked):
        left = counted(len(ranked), "photo")
        raise DataError(f"{path}: has {left} left to draw from, and {asked} is more; ask for fewer")
    return sorted(ranked[:count])


def _check_known(path: Path, what: str, missing: list[str], whose: str) -> None:
    if missing:
        lacks = f"lacks {what}{len(missing)} of the photos that {whose}, {missing[0]} first"
        raise DataError(f"{path}: {lacks}; give the annotations of these photos, or list others")
