"""Reading splits: words, phrases, boxes, and what is said of files that do not hold them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attnviz.data import Phrase, Split
from attnviz.errors import DataError, ImageError

RECORD = {
    "image": "a.png",
    "width": 20,
    "height": 10,
    "captions": [
        {
            "tokens": ["Two", ",", "big", "dogs", ".", "run"],
            "phrases": [[0, 4, "7", ["animals"]], [4, 5, "8", []], [5, 6, "9"]],
        }
    ],
    "boxes": {"7": [[0.1, 0.2, 0.3, 0.4]]},
}


def write_split(folder: Path, *lines: object, photos: tuple[str, ...] = ("a.png",)) -> Path:
    (folder / "train.jsonl").write_text(
        "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    )
    with zipfile.ZipFile(folder / "train.zip", "w") as archive:
        for name in photos:
            Image.new("RGB", (20, 10), (1, 2, 3)).save(folder / name)
            archive.write(folder / name, name)
    return folder / "train"


@pytest.mark.parametrize("suffix", ["", ".jsonl", ".zip"])
def test_reads_records_and_photos(tmp_path: Path, suffix: str) -> None:
    split = Split(f"{write_split(tmp_path, RECORD)}{suffix}")
    (record,) = split
    assert record.size == (10, 20)
    assert len(split) == 1
    assert split.name == "train"
    # The comma and the stop are no words: the phrase [0, 4) over tokens is [0, 3) over words, that of the stop is gone.
    assert record.captions[0].words == ("two", "big", "dogs", "run")
    assert record.captions[0].phrases == (Phrase(0, 3, "7", ("animals",)), Phrase(3, 4, "9"))
    np.testing.assert_allclose(record.boxes["7"], [[0.2, 0.1, 0.4, 0.3]])  # (y0, x0, y1, x1)
    (photo,) = split.photos()
    assert photo.name == "a.png"
    assert photo.size == (10, 20)
    assert tuple(photo.pixels[0, 0]) == (1, 2, 3)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: not a record"),
        ({"captions": []}, "line 2: not a record"),
        (
            {"image": "a.png", "captions": [{"tokens": ["a"], "phrases": [[0, 2, "1"]]}]},
            "phrase \\[0, 2\\) lies outside its 1 token",
        ),
        ({"image": "a.png", "boxes": {"1": [[1, 2, 3]]}}, "line 2: not a record"),
        ({"image": "a.png", "boxes": {"1": [[1, 2, 30, 40]]}}, "fractions of width"),
        ({"image": "a.png", "boxes": {"1": [[0.5, 0, 0.1, 1]]}}, "fractions of width"),
        ({"image": "a.png", "boxes": {"1": [[float("nan"), 0, 0.1, 1]]}}, "fractions of width"),
        ({"image": "a.png", "boxes": [[0, 0, 1, 1]]}, "line 2: not a record"),
        ({"image": "a.png", "captions": [{"tokens": "dog"}]}, "tokens must be a list"),
        ({"image": "a.png", "width": float("inf")}, "line 2: not a record"),
        ("[1]", "line 2: not a record"),
        ("null", "line 2: not a record"),
        ("[" * 100000, "line 2: not a record"),
        ({"image": "b.png"}, "lacks 1 photo that train.jsonl names, b.png first"),
    ],
)
def test_names_file_and_line(tmp_path: Path, line: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        Split(write_split(tmp_path, RECORD, line))


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        Split(tmp_path / "none")
    with pytest.raises(DataError, match="holds no record"):
        Split(write_split(tmp_path))
    path = write_split(tmp_path, RECORD)
    path.with_suffix(".zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match="not a readable zip"):
        Split(path)


def test_damaged_photos_and_lines_of_bytes(tmp_path: Path) -> None:
    path = write_split(tmp_path, RECORD)
    whole = bytearray(path.with_suffix(".zip").read_bytes())
    whole[whole.index(b"IDAT") + 8] ^= 255
    path.with_suffix(".zip").write_bytes(whole)
    with pytest.raises(ImageError, match=r"train\.zip: a\.png in it is damaged"):
        list(Split(path).photos())
    path.with_suffix(".jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="line 1: not a record"):
        Split(path)
    with pytest.raises(DataError, match="names no split"):
        Split("")


@pytest.mark.parametrize("in_zip", ["caf\u00e9.png", "cafe\u0301.png"])
@pytest.mark.parametrize("in_lines", ["caf\u00e9.png", "cafe\u0301.png"])
def test_names_are_the_same_in_either_unicode_form(tmp_path: Path, in_zip: str, in_lines: str) -> None:
    """macOS writes names decomposed, into zips too."""
    split = Split(write_split(tmp_path, {**RECORD, "image": in_lines}, photos=(in_zip,)))
    assert [photo.size for photo in split.photos()] == [(10, 20)]


@pytest.mark.parametrize("objects", ["dog", [1], [None], {"dog": 1}, 3])
def test_objects_are_names(tmp_path: Path, objects: object) -> None:
    with pytest.raises(DataError, match=r"line 1: not a record .TypeError: objects must be a list of names"):
        Split(write_split(tmp_path, {**RECORD, "objects": objects}))


def test_lines_and_photos_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_split(tmp_path, RECORD)
    split = Split(path)
    monkeypatch.setattr("attnviz.data.splits.MAX_PHOTO", 10)
    with pytest.raises(ImageError, match=r"train\.zip: a\.png in it is damaged .it has more than 10 bytes"):
        list(split.photos())
    monkeypatch.setattr("attnviz.data.splits.MAX_LINE", 100)
    with pytest.raises(DataError, match=r"train\.jsonl, line 1: not a record .ValueError: it has more than 100 bytes"):
        Split(path)


def test_a_photo_that_cannot_be_read_names_its_zip(tmp_path: Path) -> None:
    path = write_split(tmp_path, RECORD)
    with zipfile.ZipFile(f"{path}.zip", "w") as archive:
        archive.writestr("a.png", b"no photo")
    with pytest.raises(ImageError, match=r"train\.zip: a\.png: is not an image"):
        list(Split(path).photos())
