"""Splits from downloads in the formats of Flickr8k and Flickr30k Entities."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from attnviz.data import Phrase, Split
from attnviz.data.flickr import make_split, read_boxes, read_captions, read_sentence
from attnviz.errors import DataError

XML = """<annotation><filename>111.jpg</filename><size><width>50</width><height>40</height><depth>3</depth></size>
<object><name>18</name><name>19</name><bndbox><xmin>5</xmin><ymin>10</ymin><xmax>25</xmax><ymax>40</ymax></bndbox></object>
<object><name>18</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>50</xmax><ymax>4</ymax></bndbox></object>
<object><name>20</name><scene>1</scene><nobndbox>0</nobndbox></object></annotation>"""
SENTENCES = """[/EN#18/people A child] in [/EN#19/clothing/other a pink dress] on [/EN#20/scene stairs] .
Two [/EN#0/notvisual it] run
"""


@pytest.fixture
def download(tmp_path: Path) -> Path:
    for name in ("images", "Sentences", "Annotations"):
        (tmp_path / name).mkdir()
    for name in ("111_a.jpg", "222_b.jpg"):
        Image.new("RGB", (50, 40), (200, 30, 30)).save(tmp_path / "images" / name)
    (tmp_path / "token.txt").write_text(
        "111_a.jpg#0\tA child .\n111_a.jpg#1\tStairs\n222_b.jpg#0\tA dog , running .\n333_c.jpg#0\tAbsent\n"
    )
    (tmp_path / "list.txt").write_text("111_a.jpg\n222_b.jpg\n")
    (tmp_path / "Sentences" / "111.txt").write_text(SENTENCES)
    (tmp_path / "Annotations" / "111.xml").write_text(XML)
    return tmp_path


def build(download: Path, out: str = "out/train", **changes: Any) -> int:
    arguments = {"images": download / "images", "captions": download / "token.txt", "names": download / "list.txt"}
    return make_split(**{**arguments, "out": download / out, "entities": download, **changes})


def test_a_split_can_be_read_back(download: Path) -> None:
    assert build(download) == 1
    first, second = split = Split(download / "out" / "train")
    assert first.size == (40, 50)
    assert first.captions[0].words == ("a", "child", "in", "a", "pink", "dress", "on", "stairs")
    assert first.captions[0].phrases[1] == Phrase(3, 6, "19", ("clothing", "other"))
    np.testing.assert_allclose(first.boxes["18"], [[0.25, 0.1, 1, 0.5], [0, 0, 0.1, 1]])  # (y0, x0, y1, x1)
    assert "20" not in first.boxes
    assert second.captions[0].words == ("a", "dog", "running")
    assert second.captions[0].phrases == ()
    for photo in split.photos():
        assert photo.size == (224, 224)
        assert np.abs(photo.pixels.astype(int) - (200, 30, 30)).max() < 6


def test_the_same_photos_make_the_same_bytes(download: Path) -> None:
    build(download, "a/x")
    build(download, "b/x")
    for suffix in ("zip", "jsonl"):
        assert (download / f"a/x.{suffix}").read_bytes() == (download / f"b/x.{suffix}").read_bytes()


def test_without_entities_there_are_plain_captions(download: Path) -> None:
    assert build(download, entities=None) == 0
    assert [c.words for c in Split(download / "out/train")[0].captions] == [("a", "child"), ("stairs",)]


def test_sentences() -> None:
    assert read_sentence("A man [/EN#7/people with (a) hat] .") == {
        "tokens": ["A", "man", "with", "(a)", "hat", "."],
        "phrases": [[2, 5, "7", ["people"]]],
    }
    assert read_sentence("") == {"tokens": [], "phrases": []}


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("token.txt", "111_a.jpg A child", r"token\.txt, line 1: not of the form"),
        ("token.txt", "111_a.jpg#0\tA child", r"token\.txt: lacks captions of 1 photo that list\.txt lists, 222_b"),
        ("list.txt", "", r"list\.txt: names no photo"),
        ("Annotations/111.xml", "<a>", r"111\.xml: not an annotation"),
        ("Annotations/111.xml", "<a><size><width>0</width><height>1</height></size></a>", None),
    ],
)
def test_files_of_another_form_are_named(download: Path, file: str, text: str, said: str | None) -> None:
    (download / file).write_text(text)
    if said is None:
        assert build(download) == 1  # no box to divide by the width
        return
    with pytest.raises(DataError, match=said):
        build(download)
    assert not (download / "out").exists()


def test_missing_photos_are_named_before_any_is_read(download: Path) -> None:
    (download / "images" / "111_a.jpg").write_text("damaged")
    (download / "images" / "222_b.jpg").unlink()
    with pytest.raises(DataError, match=r"images: lacks 1 of the photos, 222_b\.jpg first"):
        build(download)
    with pytest.raises(DataError, match=r"none: no such folder"):
        build(download, images=download / "none")
    assert not (download / "out").exists()


def test_a_photo_that_is_listed_twice_comes_once(download: Path) -> None:
    (download / "list.txt").write_text("222_b.jpg\n111_a.jpg\n222_b.jpg\n")
    build(download)
    assert [record.image for record in Split(download / "out/train")] == ["222_b.jpg", "111_a.jpg"]


def test_missing_files_are_named(download: Path) -> None:
    with pytest.raises(DataError, match="none"):
        read_captions(download / "none")
    (download / "bad.xml").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="UTF-8"):
        read_boxes(download / "bad.xml")


def test_the_command(cli: Callable[..., Any], download: Path) -> None:
    paths = ("--images", download / "images", "--captions", download / "token.txt", "-o", download / "made")
    status, out, err = cli(
        "data", "flickr8k", *paths, "--splits", f"dev={download / 'list.txt'}", "--entities", download
    )
    assert (status, out) == (0, f"{download}/made/dev.jsonl: 1 photo with phrases\n")
    assert "dev: 2 of 2 photos" in err
    assert len(Split(download / "made" / "dev")) == 2
    status, _, err = cli("data", "flickr8k", *paths, "--splits", "list.txt")
    assert status == 2
    assert "NAME=FILE" in err
    assert err.count("\n") == 1
    twice = ("--splits", f"dev={download / 'list.txt'}") * 2
    assert "dev is given twice" in cli("data", "flickr8k", *paths, *twice).err


def test_entities_of_other_photos_are_told(cli: Callable[..., Any], download: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    paths = ("--images", download / "images", "--captions", download / "token.txt", "-o", download / "made")
    asked = ("data", "flickr8k", *paths, "--splits", f"dev={download / 'list.txt'}", "-q", "--entities")
    told = (
        f"attnviz: {tmp_path / 'elsewhere'}: has no Sentences/NAME.txt with Annotations/NAME.xml of any photo of dev\n"
    )
    assert cli(*asked, tmp_path / "elsewhere").err == told
    assert cli(*asked, download).err == ""
