"""Where results go: never two photos in one folder."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from attnviz.cli.places import result_folders
from attnviz.errors import OutputError


@pytest.mark.parametrize(
    ("images", "out", "folders"),
    [
        (["a.jpg"], None, ["a-attention"]),
        (["x/a.jpg"], None, ["a-attention"]),
        (["a.jpg"], "out", ["out"]),
        (["-"], None, ["stdin-attention"]),
        (["a.jpg", "b.jpg"], "out", ["out/a-attention", "out/b-attention"]),
        (["a.jpg", "a.png"], None, ["a.jpg-attention", "a.png-attention"]),
        (["x/a.jpg", "y/a.jpg"], None, ["a.jpg-attention", "a.jpg-2-attention"]),
        (["x/a", "y/a", "a-2"], None, ["a-attention", "a-3-attention", "a-2-attention"]),
        (["A.jpg", "a.png"], None, ["A.jpg-attention", "a.png-attention"]),
        (["A.jpg", "x/a.JPG"], None, ["A.jpg-attention", "a.JPG-2-attention"]),
        (["archive.tar.gz"], None, ["archive.tar-attention"]),
    ],
)
def test_names(
    images: list[str], out: str | None, folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert result_folders(images, out) == [Path(folder) for folder in folders]


@given(
    st.lists(st.from_regex(r"(x/|y/)?[abAB](-[23]|\.jpg)?(\.jpg|\.png|-2)?", fullmatch=True), min_size=2, max_size=8)
)
def test_no_two_photos_share_a_folder_on_any_file_system(images: list[str]) -> None:
    folders = result_folders(images, "results-of-this-test")
    assert len({unicodedata.normalize("NFC", str(folder)).casefold() for folder in folders}) == len(images)


def test_two_forms_of_one_letter_are_one_name(tmp_path: Path) -> None:
    composed, decomposed = "caf\u00e9.jpg", "cafe\u0301.png"
    assert [folder.name for folder in result_folders([composed, decomposed], str(tmp_path))] == [
        f"{composed}-attention",
        f"{decomposed}-attention",
    ]


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in ("file", "file/below/it"):
        with pytest.raises(OutputError, match="file is a file; choose another"):
            result_folders(["a.jpg"], str(tmp_path / out))
    assert result_folders(["a.jpg"], str(tmp_path / "new/folder"))


@pytest.mark.parametrize("length", [244, 245, 246, 250, 255])
def test_a_photos_name_as_long_as_names_may_be_makes_a_folder(tmp_path: Path, length: int) -> None:
    """`-attention` takes ten bytes; names that are cut differ by digits of their hash."""
    names = ["x" * (length - 4) + suffix for suffix in (".jpg", ".png")] + ["\u00e9" * (length // 2 - 2) + ".jpg"]
    folders = result_folders(names, str(tmp_path)) + result_folders(names[:1], None)
    assert len(set(folders)) == len({folder.name.casefold() for folder in folders[:3]}) + 1 == 4
    for folder in folders[:3]:
        assert folder.name.endswith("-attention")
        folder.mkdir()
    assert len(folders[3].name) == (length + 6 if length <= 249 else 255)


def test_a_folder_whose_name_is_too_long_is_one_line_with_the_way_out() -> None:
    with pytest.raises(OutputError, match="a name of 256 bytes is too long, 255 are the most; choose another folder"):
        result_folders(["a.jpg"], "x" * 256)
