"""Writing, naming and finding files, and the TOML files of options."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from attnviz import files
from attnviz.cli.config import presets
from attnviz.errors import LONGEST, AttnvizError, ConfigError, OutputError, counted
from attnviz.train import read_config

COMPOSED, DECOMPOSED = "caf\u00e9.jpg", "cafe\u0301.jpg"


def test_a_written_file_has_the_users_rights_and_nothing_is_changed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mounts such as CIFS refuse to change rights."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    for name in ("chmod", "fchmod", "lchmod"):
        monkeypatch.setattr(os, name, refuse, raising=False)
    former = os.umask(0o027)
    try:
        files.write_atomically(tmp_path / "new" / "a.txt", b"a")
    finally:
        os.umask(former)
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"a"
    if os.name != "nt":
        assert (tmp_path / "new" / "a.txt").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]


def test_an_error_names_the_file_and_not_a_hidden_one(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / ("a" * 300), tmp_path / "a\0b"):
        with pytest.raises(OutputError) as error:
            files.write_atomically(path, b"a")
        assert ".attnviz" not in str(error.value)
        assert "cannot be written: " in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("error", ["EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EPERM"])
def test_a_disk_that_does_not_tell_is_no_failure(error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def refuse(descriptor: int) -> None:
        raise OSError(getattr(errno, error), "no")

    with (tmp_path / "a").open("wb") as file:
        assert files.saved(file.fileno())
        monkeypatch.setattr(os, "fsync", refuse)
        assert not files.saved(file.fileno())
        monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
        with pytest.raises(OSError, match="broken"):
            files.saved(file.fileno())


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the system takes one form for the other")
@pytest.mark.parametrize(("disk", "asked"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED), (COMPOSED, COMPOSED)])
def test_a_file_is_found_in_the_other_unicode_form(tmp_path: Path, disk: str, asked: str) -> None:
    folder = tmp_path / disk.replace(".jpg", "")
    folder.mkdir()
    (folder / disk).touch()
    assert files.spelled(tmp_path / asked.replace(".jpg", "") / asked) == folder / disk
    assert files.spelled(folder / "nothing-é.jpg") == folder / "nothing-é.jpg"
    (folder / asked).touch()  # both are there: each is itself
    assert files.spelled(folder / asked) == folder / asked


@given(st.text(st.characters(codec="utf-8"), max_size=300), st.sampled_from(["", "-attention"]))
def test_names_fit_and_stay_apart(name: str, ending: str) -> None:
    made, other = files.fitting(name, ending), files.fitting(name + "x", ending)
    assert len(made.encode()) <= files.NAME_BYTES
    assert made.endswith(ending)
    assert made != other
    if len((name + ending).encode()) <= files.NAME_BYTES:
        assert made == name + ending


@pytest.mark.parametrize(
    "name", ["https://a.b/c.jpg", "https:/a.b/c.jpg", "http://a/b", "s3://bucket/key.png", "file:///tmp/a.jpg"]
)
def test_a_url_is_told(name: str) -> None:
    assert files.absent(name) == "is a URL, not a file; download it first, and name the file"


@pytest.mark.parametrize("name", ["a.jpg", "/tmp/a.jpg", "C:/a.jpg", "a:b.jpg", "x/http:/"])
def test_other_names_are_no_urls(name: str) -> None:
    assert files.absent(name).startswith("no such file")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("beam = " + "9" * 5000, "a whole number takes more than 64 bits"),
        ("opacity = 1" + "0" * 400, "a whole number takes more than 64 bits"),
        ("beam = 0x" + "f" * 5000, "a whole number takes more than 64 bits"),  # as a decimal it could not be printed
        ("beam = [1, [0x" + "f" * 17 + "]]", "a whole number takes more than 64 bits"),
        ("[a]\n" * 2, "not valid TOML"),
        ("a = " + "[" * 5000 + "]" * 5000, "not valid TOML"),
        ("a = '\ud800'", "not valid TOML"),
        ("# " + "a" * files.TOML_BYTES, "too long for options"),
    ],
)
def test_what_is_no_toml_is_told(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "options.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    for read in (files.read_toml, read_config):
        with pytest.raises(ConfigError, match=says) as error:
            read(path)
        assert str(error.value).startswith(f"{path}: ")
    with pytest.raises(ConfigError, match=r"none\.toml: no such file"):
        files.read_toml(tmp_path / "none.toml")


def test_the_presets_are_toml() -> None:
    for kind in ("render", "figure"):
        for path in presets(kind).values():
            assert files.read_toml(path)


def test_a_message_that_nobody_could_read_is_cut_in_the_middle() -> None:
    told = str(AttnvizError("a.jpg: no mode is called '" + "x\n" * 100_000 + "'; there are dot, concat"))
    assert len(told) < LONGEST + 100
    assert told.startswith("a.jpg: no mode")
    assert told.endswith("'; there are dot, concat")


def test_words_are_counted() -> None:
    assert [counted(number, "word") for number in (0, 1, 2, 12_000)] == ["0 words", "1 word", "2 words", "12,000 words"]
    assert counted(2, "box", "boxes") == "2 boxes"
