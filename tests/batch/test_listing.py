"""What a folder holds, and where the results of each photo go."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from attnviz.batch.listed import Listed
from attnviz.batch.listing import by_suffix, chosen, find, matcher, part
from attnviz.batch.manifest import Record
from attnviz.errors import ConfigError, DataError
from attnviz.files import NAME_BYTES

bytes_in_names = pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")

# Any name that a POSIX file system takes, as Python reads it.
names = (
    st.binary(min_size=1, max_size=255)
    .filter(lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b".."))
    .map(lambda name: name.decode("utf-8", "surrogateescape"))
)


def touch(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return folder


def found(folder: Path, glob: str | None = None, out: str = "out") -> list[str]:
    return [one.path for one in find(folder, folder / out, glob).photos]


def result_folders(paths: Iterable[str]) -> dict[str, str]:
    return {one.path: one.folder for one in chosen("photos", map(Listed, paths), "**", (1, 1)).photos}


def test_images_are_found_at_any_depth_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a.png", "t/x.jpeg", "t/u/y.webp", "t/notes.txt", "z.tif", "movie.mp4")
    assert found(tmp_path) == ["a.png", "b.JPG", "t/u/y.webp", "t/x.jpeg", "z.tif"]


def test_what_looks_like_a_photo_and_is_left_out_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.HEIC", "c.avif", "c.NEF", "t/d.nef", "t/e.jxl", "t/.f.nef", "g.txt", "movie.mp4")
    listed, left_out, _ = find(tmp_path, tmp_path / "out")
    assert [one.path for one in listed] == ["a.jpg", "b.HEIC", "c.avif"]
    assert left_out == ("c.NEF", "t/d.nef", "t/e.jxl")
    assert by_suffix(left_out) == "2 .nef, 1 .jxl"
    parts = [find(tmp_path, tmp_path / "out", shard=(i, 3)).left_out for i in range(1, 4)]
    assert sorted(path for part in parts for path in part) == sorted(left_out)
    assert find(tmp_path, tmp_path / "out", "*.nef").left_out == ()
    (tmp_path / "a.jpg").unlink()
    (tmp_path / "b.HEIC").unlink()
    (tmp_path / "c.avif").unlink()
    with pytest.raises(DataError, match=r"holds no photos .* but 2 \.nef, 1 \.jxl; name another folder, or choose"):
        find(tmp_path, tmp_path / "out")


def test_hidden_and_own_files_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", ".b.jpg", ".git/c.jpg", "t/.d.jpg", "out/e.jpg", "out/e.jpg-attention/step-00-a.png")
    touch(tmp_path, "f-attention/trace.npz", "f-attention/step-00-a.png", "my-attention/photo.jpg")
    assert found(tmp_path) == ["a.jpg", "my-attention/photo.jpg"]
    assert found(tmp_path, "**") == ["a.jpg", "my-attention/photo.jpg"]


def test_links_are_followed_once_and_in_no_circle(tmp_path: Path) -> None:
    photos, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
    touch(photos, "z/a.jpg")
    touch(elsewhere, "b.jpg", "deep/c.jpg")
    (photos / "a-link-to-z").symlink_to("z")
    (photos / "z" / "up").symlink_to("..")
    (photos / "z" / "self").symlink_to("self")
    (photos / "other").symlink_to(elsewhere)
    (photos / "other-again").symlink_to(elsewhere / "deep")
    (photos / "file.jpg").symlink_to(elsewhere / "b.jpg")
    (photos / "dangling.jpg").symlink_to("nowhere.jpg")
    (photos / "circle.jpg").symlink_to("circle.jpg")
    assert found(photos) == ["circle.jpg", "dangling.jpg", "file.jpg", "other/b.jpg", "other/deep/c.jpg", "z/a.jpg"]


def test_what_is_neither_file_nor_folder_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert found(tmp_path) == ["a.jpg"]


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "locked/b.jpg")
    (tmp_path / "locked").chmod(0)
    listed = find(tmp_path, tmp_path / "out").photos
    (tmp_path / "locked").chmod(0o755)
    assert [(one.path, one.error is None) for one in listed] == [("a.jpg", True), ("locked", False)]


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*.jpg", ["a.jpg", "t/a.jpg", "t/u/a.jpg"], ["a.jpeg", "a.jpg.txt"]),
        ("t/*.jpg", ["t/a.jpg"], ["a.jpg", "t/u/a.jpg"]),
        ("t/**/*.jpg", ["t/a.jpg", "t/u/a.jpg", "t/u/v/a.jpg"], ["a.jpg", "at/a.jpg"]),
        ("t/**", ["t/a.jpg", "t/u/a"], ["a.jpg"]),
        ("*.{jpg,png}", ["a.jpg", "t/a.png"], ["a.gif", "a.{jpg,png}"]),
        ("a,b.jpg", ["a,b.jpg"], ["a", "b.jpg"]),
        ("img[0-3]?.jpg", ["img12.jpg"], ["img42.jpg", "img1.jpg", "img1/.jpg"]),
        ("img[!0-3].jpg", ["img7.jpg"], ["img1.jpg", "img/.jpg"]),
        ("[^a].jpg", ["^.jpg", "a.jpg"], ["b.jpg"]),
        ("new\nline.*", ["new\nline.jpg"], ["newline.jpg"]),
        ("a.b+(c)", ["a.b+(c)"], ["aXb+(c)", "a.bb(c)"]),
    ],
)
def test_patterns(pattern: str, matching: list[str], others: list[str]) -> None:
    matches = matcher(pattern)
    assert [path for path in matching if not matches(path)] == []
    assert [path for path in others if matches(path)] == []


@pytest.mark.parametrize("pattern", ["", "/a/*.jpg", "[a", "{a,b", "a}", "[z-a].jpg"])
def test_patterns_that_mean_nothing(pattern: str) -> None:
    with pytest.raises(ConfigError, match="glob"):
        matcher(pattern)


def test_folders_that_are_none(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "empty/notes.txt")
    for path, words in (("a.jpg", "is a file"), ("none", "no such folder"), ("empty", "holds no photos")):
        with pytest.raises(DataError, match=words):
            find(tmp_path / path, tmp_path / "out")
    with pytest.raises(ConfigError, match="is the folder of the photos"):
        find(tmp_path, tmp_path / "empty" / "..")


def test_every_photo_is_in_one_part(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number}.jpg" for number in range(200)))
    parts = [{one.path for one in find(tmp_path, tmp_path / "out", shard=(i, 7)).photos} for i in range(1, 8)]
    assert set().union(*parts) == set(found(tmp_path))
    assert sum(map(len, parts)) == 200
    assert min(map(len, parts)) > 10  # 200 / 7, give or take chance
    assert part("trip/a.jpg", 8) == 8  # as ever: other runs, other machines, other versions


def test_plain_names_stay_as_they_are() -> None:
    paths = ["a.jpg", "a.png", "IMG_0001.JPG", "my trip/füße.webp", "x.y.z.gif"]
    assert result_folders(paths) == {path: f"{path}-attention" for path in paths}


def test_names_that_some_system_takes_for_one_are_kept_apart() -> None:
    paths = ["a.jpg", "A.jpg", "t/é.jpg", "t/e\u0301.jpg", "T/é.jpg", "CON.jpg", "b?.jpg", "b*.jpg", "-x.jpg"]
    folders = result_folders(paths)
    assert (folders["a.jpg"], folders["t/é.jpg"]) == ("a.jpg-attention", "t/é.jpg-attention")
    assert len({folder.casefold() for folder in folders.values()}) == len(paths)


@given(st.lists(st.lists(names, min_size=1, max_size=3).map("/".join), unique=True, min_size=1, max_size=8))
def test_result_folders_are_safe_distinct_and_stable(paths: list[str]) -> None:
    folders = result_folders(paths)
    assert len({folder.casefold() for folder in folders.values()}) == len(paths)
    for path, folder in folders.items():
        parts = folder.split("/")
        assert len(parts) == path.count("/") + 1
        for name in parts:
            assert len(name.encode()) <= NAME_BYTES
            assert not set(name) & set('<>:"\\|?*\n\r\t\0')
            assert not name.startswith(("-", " "))
            assert not name.endswith((".", " "))
        assert folder.endswith("-attention")
    assert result_folders(reversed(paths)) == folders
    # The one that others may be added beside without a change: it is alone, or in lower case.
    assert sum(result_folders([path])[path] != folders[path] for path in paths) < max(1, len(paths))


@given(names, st.text(), st.text())
def test_lines_of_the_manifest_come_back_as_they_were(path: str, caption: str, error: str) -> None:
    record = Record(path, "done", caption=caption, folder="f", files=("a", "b"), error=error, seconds=0.5)
    line = record.to_line()
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert Record.from_line(line) == record


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[1]", b"null", b'{"path": 1, "state": "done"}', b'{"path": "a", "state": "?", "files": []}']
)
def test_lines_that_are_none(line: bytes) -> None:
    assert Record.from_line(line) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("path", value) for value in ("", "..", "../a", "/a", "a//b", "a\0", None, 3)),
        *(("folder", value) for value in ("../../a", "/", 3, None)),
        *(("files", value) for value in (["../a"], ["a/b"], [3], "..", None, 3)),
        *(("caption", value) for value in (3, ["a"], True)),
        *(("probability", value) for value in ("0.5", float("inf"), float("nan"), True, 10**400)),
        *(("entropy", [1.0]), ("seconds", {}), ("size", 1.5), ("size", True), ("mtime_ns", "1")),
        *(("error", 3), ("sha256", 3), ("summary", []), ("settings", {}), ("remarks", [3]), ("nothing", 1)),
    ],
)
def test_lines_with_a_field_of_another_kind_are_none(field: str, value: object) -> None:
    whole = json.loads(Record("a.jpg", "done", "a dog", "a.jpg-attention", ("summary.json",), 0.5, 1.0).to_line())
    assert Record.from_line(json.dumps(whole).encode()) is not None
    assert Record.from_line(json.dumps({**whole, field: value}).encode()) is None


@pytest.mark.parametrize("pattern", ["caf\u00e9*", "cafe\u0301*", "caf[\u00e9]*", "{caf\u00e9,x}*", "trip-\u00fc/*"])
def test_patterns_match_either_unicode_form(pattern: str) -> None:
    for name in ("caf\u00e9.jpg", "cafe\u0301.jpg"):
        path = f"trip-u\u0308/{name}"
        assert matcher(pattern)(path), path
    assert not matcher(pattern)("cafe.jpg")


def test_a_url_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a URL, not a folder; download it first"):
        find(Path("s3://bucket/photos"), tmp_path / "out")
