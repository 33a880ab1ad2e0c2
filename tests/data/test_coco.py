"""Splits from downloads in the formats of COCO 2017."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from attnviz.data import Split
from attnviz.data.coco import make_lines, read_captions, read_objects, tokens
from attnviz.errors import DataError

Run = Callable[..., Any]
NAMES = [f"{number:012}.jpg" for number in (9, 25, 30, 34, 36)]  # the last has no annotation at all
IMAGES = [{"license": 3, "file_name": name, "height": 40, "width": 50, "id": int(name[:12])} for name in NAMES]
CAPTIONS = {
    "info": {"year": 2017},
    "licenses": [{"id": 3, "name": "Attribution License"}],
    "images": IMAGES,
    "annotations": [
        {"image_id": 25, "id": 1, "caption": "A giraffe's head, close-up."},
        {"image_id": 9, "id": 2, "caption": "A bowl  of oranges\n"},
        {"image_id": 30, "id": 3, "caption": "Flowers"},
        {"image_id": 34, "id": 4, "caption": "A zebra"},
        {"image_id": 25, "id": 5, "caption": "Giraffe and man"},
        {"image_id": 36, "id": 6, "caption": " "},
    ],
}
OUTLINE = {"segmentation": [[1.5, 2.0, 3.0, 4.0]], "area": 9.5, "iscrowd": 0, "bbox": [1.0, 2.0, 3.0, 4.0]}
INSTANCES = {
    "images": IMAGES,
    "annotations": [
        {**OUTLINE, "image_id": 25, "category_id": 1, "id": 1},
        {**OUTLINE, "image_id": 25, "category_id": 25, "id": 2},
        {**OUTLINE, "image_id": 25, "category_id": 1, "id": 3},
        {**OUTLINE, "image_id": 9, "category_id": 51, "id": 4},
        {**OUTLINE, "image_id": 34, "category_id": 24, "id": 5, "iscrowd": 1, "segmentation": {"counts": [1, 2]}},
    ],
    "categories": [
        {"supercategory": "person", "id": 1, "name": "person"},
        {"supercategory": "animal", "id": 24, "name": "zebra"},
        {"supercategory": "animal", "id": 25, "name": "giraffe"},
        {"supercategory": "kitchen", "id": 51, "name": "bowl"},
    ],
}


@pytest.fixture
def download(tmp_path: Path) -> Path:
    (tmp_path / "train2017").mkdir()
    for shade, name in enumerate(NAMES):
        Image.new("RGB", (50, 40), (200, 30, 40 * shade)).save(tmp_path / "train2017" / name)
    (tmp_path / "captions.json").write_text(json.dumps(CAPTIONS))
    (tmp_path / "instances.json").write_text(json.dumps(INSTANCES))
    (tmp_path / "list.txt").write_text(f"{NAMES[1]}\n\n{NAMES[0]}\n{NAMES[1]}\n")
    return tmp_path


CAPTIONED = ("--images", "train2017", "--captions", "captions.json")
BOTH = (*CAPTIONED, "--instances", "instances.json")


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("A children's game.", ["A", "children's", "game", "."]),
        ("A man’s t-shirt,  red!", ["A", "man's", "t-shirt", ",", "red", "!"]),
        ("skating/skiing on t.v.", ["skating", "/", "skiing", "on", "t", ".", "v", "."]),
        ("the #41 'bus'", ["the", "#", "41", "'", "bus", "'"]),
        ("a café - naïve", ["a", "café", "-", "naïve"]),
        (" \n", []),
    ],
)
def test_tokens(sentence: str, expected: list[str]) -> None:
    assert tokens(sentence) == expected


def test_a_split_can_be_read_back(cli: Run, download: Path) -> None:
    status, out, err = cli("data", "coco", *BOTH, "--splits", "train=list.txt", "-o", "made")
    assert (status, out) == (0, "made/train.jsonl: 2 photos, 2 with captions, 2 with objects\n")
    assert "train: 2 of 2 photos" in err
    first, second = split = Split(download / "made" / "train")  # each once, in the list's order
    assert (first.image, first.size, first.objects) == (NAMES[1], (40, 50), ("giraffe", "person"))
    assert [caption.words for caption in first.captions] == [
        ("a", "giraffe's", "head", "close-up"),
        ("giraffe", "and", "man"),
    ]
    assert (second.image, second.objects) == (NAMES[0], ("bowl",))
    assert json.loads((download / "made" / "train.jsonl").read_text().splitlines()[1])["references"] == [
        "A bowl  of oranges"
    ]
    for photo, shade in zip(split.photos(), (40, 0), strict=True):
        assert photo.size == (224, 224)
        assert np.abs(photo.pixels.astype(int) - (200, 30, shade)).max() < 6


def test_captions_or_objects_alone(cli: Run, download: Path) -> None:
    assert cli("data", "coco", *CAPTIONED, "--splits", "said=list.txt", "-o", "made", "-q").err == ""
    assert Split(download / "made" / "said")[0].objects == ()
    seen = ("--images", "train2017", "--instances", "instances.json", "--splits", "seen=list.txt")
    assert cli("data", "coco", *seen, "-o", "made").status == 0
    assert Split(download / "made" / "seen")[0].captions == ()
    some = ("--splits", "train=list.txt", "--splits", "objects=list.txt", "--objects-only", "objects")
    assert cli("data", "coco", *BOTH, *some, "-o", "made").status == 0
    train, objects = Split(download / "made" / "train")[0], Split(download / "made" / "objects")[0]
    assert (len(train.captions), len(objects.captions)) == (2, 0)
    assert train.objects == objects.objects == ("giraffe", "person")


def test_photos_are_drawn_alike_each_time_and_into_one_split(download: Path) -> None:
    captions, instances = download / "captions.json", download / "instances.json"
    (download / "list.txt").write_text(NAMES[0])
    wanted: dict[str, Path | int] = {"train": 1, "objects": 1, "mine": download / "list.txt"}
    made = make_lines(wanted, captions, instances, ["objects"])
    captions.write_text(json.dumps({**CAPTIONS, "images": IMAGES[::-1]}))
    instances.write_text(json.dumps({**INSTANCES, "images": IMAGES[::-1]}))
    assert make_lines(wanted, captions, instances, ["objects"]) == made
    photos = [photo for name in ("train", "objects") for photo in made[name]]
    assert len({*photos, *made["mine"]}) == 3
    # NAMES[2] has no objects and NAMES[4] nothing: they are drawn only where the split has use for them.
    assert set(make_lines({"a": 4}, captions, instances)["a"]) == {*NAMES[:4]}
    assert set(make_lines({"a": 3}, None, instances)["a"]) == {NAMES[0], NAMES[1], NAMES[3]}


def test_photos_without_objects_may_be_listed(download: Path) -> None:
    (download / "list.txt").write_text("\n".join(NAMES))
    lines = make_lines({"a": download / "list.txt"}, None, download / "instances.json")["a"]
    assert [line["objects"] for line in lines.values()] == [["bowl"], ["giraffe", "person"], [], ["zebra"], []]


def with_first(document: dict[str, Any], key: str, **changes: Any) -> str:
    """The JSON of a document with changes to the first entry under `key`."""
    return json.dumps({**document, key: [{**document[key][0], **changes}, *document[key][1:]]})


KEYPOINTS = {**INSTANCES, "categories": [{"id": 1, "name": "person", "keypoints": ["nose"]}]}
WRONG_FILES = [
    ("captions.json", None, r"captions\.json: no such file; captions_train2017\.json is in COCO's"),
    ("instances.json", None, r"instances\.json: no such file; instances_train2017\.json is in COCO's"),
    ("captions.json", '{"images": [', r"captions\.json: is not JSON \(.*\); download it again"),
    ("captions.json", "[" * 100_000, r"captions\.json: is not JSON"),
    ("captions.json", b"\xff\xfe{}", r"captions\.json: is not a text file in UTF-8"),
    ("captions.json", "[]", r"captions\.json: not in COCO's format \(.*\); give captions_train2017"),
    ("captions.json", '{"images": []}', r"captions\.json: not in COCO's format"),  # the test photos' list, for one
    ("captions.json", '{"images": [], "annotations": {"id": 1}}', r"captions\.json: not in COCO's format"),
    ("captions.json", json.dumps(INSTANCES), r"captions\.json: its annotations are no captions; give captions_train"),
    ("captions.json", with_first(CAPTIONS, "annotations", caption=5), r"captions\.json: not in COCO's format"),
    ("captions.json", with_first(CAPTIONS, "annotations", image_id=7), r"is of image 7, which it does not list"),
    ("captions.json", with_first(CAPTIONS, "annotations", image_id=[]), r"captions\.json: not in COCO's format"),
    ("instances.json", json.dumps(CAPTIONS), r"instances\.json: its annotations are not of objects; give instances_"),
    ("instances.json", json.dumps(KEYPOINTS), r"instances\.json: its annotations are not of objects"),
    ("instances.json", with_first(INSTANCES, "annotations", category_id=12), r"is of category 12, which it does not"),
    ("instances.json", with_first(INSTANCES, "annotations", image_id=7), r"instances\.json: .* is of image 7, which"),
    ("instances.json", with_first(INSTANCES, "images", file_name="x.jpg"), r"instances\.json: lacks 1 of the photos"),
    ("list.txt", "\n \n", r"list\.txt: names no photo; write one name a line"),
    ("list.txt", None, r"list\.txt: no such file; check the name"),
    ("list.txt", "x.jpg", r"captions\.json: lacks captions of 1 of the photos that list\.txt lists, x\.jpg first"),
    ("list.txt", NAMES[4], r"captions\.json: lacks captions of 1 of the photos"),
    (f"train2017/{NAMES[0]}", None, rf"train2017: lacks 1 of the photos, {NAMES[0]} first; unpack"),
    (f"train2017/{NAMES[0]}", "no photo", rf"{NAMES[0]}: is not an image"),
]


@pytest.mark.parametrize(("file", "content", "said"), WRONG_FILES)
def test_wrong_files_get_one_line_and_leave_nothing(
    cli: Run, download: Path, file: str, content: str | bytes | None, said: str
) -> None:
    if content is None:
        (download / file).unlink()
    else:
        (download / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    status, out, err = cli("data", "coco", *BOTH, "--splits", "train=list.txt", "-o", "made", "-q")
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert re.search(said, err), err
    assert not (download / "made").exists()


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (("--images", "train2017", "--splits", "a=1"), 2, "give --captions, --instances or both"),
        ((*CAPTIONED, "--splits", "a=1", "--objects-only", "a"), 2, "--objects-only needs --instances"),
        ((*BOTH, "--splits", "a=1", "--objects-only", "b"), 2, "b: no --splits has that name; there are a"),
        ((*BOTH, "--splits", "list.txt"), 2, "list.txt: not of the form NAME=FILE or NAME=N"),
        ((*BOTH, "--splits", "a/b=1"), 2, "a/b=1: not of the form"),
        ((*BOTH, "--splits", "a=1", "--splits", "a=2"), 2, "a=2: a is given twice"),
        ((*BOTH, "--splits", "a=0"), 1, "a=0: draws no photo; give 1 or more"),
        (
            (*BOTH, "--splits", "a=3", "--splits", "b=2"),
            1,
            "has 1 photo left to draw from, and b=2 is more; ask for fewer",
        ),
        ((*BOTH, "--splits", "a=1", "--images", "none"), 1, "none: no such folder"),
    ],
)
def test_wrong_options_get_one_line(cli: Run, download: Path, args: tuple[str, ...], status: int, said: str) -> None:
    found = cli("data", "coco", *args, "-o", "made", "-q")
    assert (found.status, found.out) == (status, "")
    assert said in found.err
    assert found.err.count("\n") == 1
    assert not (download / "made").exists()


def test_files_without_annotations_are_read(download: Path) -> None:
    for read in (read_captions, read_objects):
        (download / "empty.json").write_text(json.dumps({"images": IMAGES[:1], "annotations": [], "categories": []}))
        assert read(download / "empty.json") == {NAMES[0]: []}
        with pytest.raises(DataError, match="folder"):
            read(download / "folder" / "empty.json")
