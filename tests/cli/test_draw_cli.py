"""`attnviz draw` and what it shares with `attnviz render`: where results go, and what is said early."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from attnviz.cli.choices import FORMATS
from attnviz.cli.delivery import DEMANDING, check_output
from attnviz.errors import ConfigError, OutputError, TraceError
from attnviz.render import WRITERS
from attnviz.render.writers.base import nothing
from attnviz.trace import Trace
from attnviz.trace.meta import ImageInfo

Run = Callable[..., Any]


def save(path: Path, steps: int = 2, name: str = "photo.png") -> Path:
    """A trace of the fixture `photo`."""
    weights = np.full((steps, 3, 4), 1 / 12, np.float32)
    Trace(weights, ("word",) * steps, image=ImageInfo(name, (40, 60))).save(path)
    return path


@pytest.mark.parametrize("name", ["\ud800.png", "a\0b.png", "/", "..", "../..", "", "a\nb.png", "x" * 300, "other.jpg"])
def test_results_are_named_after_the_photo_whatever_the_trace_calls_it(
    cli: Run, photo: Path, tmp_path: Path, name: str
) -> None:
    save(tmp_path / "t.npz", name=name)
    status, _, err = cli("draw", "t.npz", "--image", "photo.png", "-f", "gif")
    assert (status, err.splitlines()[-1]) == (0, f"attnviz: t.npz: 3 files in photo-attention{os.sep}")
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", "t.npz", "photo-attention"}


@pytest.mark.parametrize("name", ["\ud800.png", "a\0b.png", "/", "..", "", "a\nb.png", "x" * 300])
def test_a_photo_that_is_not_there_is_one_line(cli: Run, tmp_path: Path, name: str) -> None:
    save(tmp_path / "t.npz", name=name)
    status, out, err = cli("draw", "t.npz")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("attnviz: error: t.npz: its photo ")
    assert "give it with --image" in err


def test_a_trace_without_steps_is_named(cli: Run, photo: Path, tmp_path: Path) -> None:
    save(tmp_path / "nosteps.npz", steps=0)
    status, out, err = cli("draw", "nosteps.npz")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("attnviz: error: nosteps.npz: the trace has no steps")


def test_a_format_that_cannot_be_written_is_said_first(monkeypatch: pytest.MonkeyPatch, cli: Run) -> None:
    monkeypatch.setitem(sys.modules, "av", None)  # as where it is not installed
    ctx = click.Context(click.Command("render"))
    with pytest.raises(ConfigError, match="needs PyAV"):
        check_output(ctx, None, ["gif", "mp4"], 2, False)
    # Before the photos are looked at, and so once for all of them.
    status, _, err = cli("render", "missing.jpg", "gone.jpg", "-f", "mp4")
    assert (status, err.count("\n")) == (1, 1)
    assert "needs PyAV" in err


def test_every_format_with_a_demand_is_checked() -> None:
    assert {name for name in FORMATS if WRITERS[name].require is not nothing} == set(DEMANDING)


def test_standard_output_that_is_closed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OutputError, match="standard output is closed"):
        check_output(click.Context(click.Command("draw")), "-", ["gif"], 1, False)


def test_a_reader_that_has_enough_ends_the_command_quietly(photo: Path, tmp_path: Path) -> None:
    save(tmp_path / "t.npz")
    reading, writing = os.pipe()
    os.close(reading)
    package = Path(__file__).parents[2]
    command = [sys.executable, "-m", "attnviz", "draw", "t.npz", "-o", "-"]
    with os.fdopen(writing, "wb") as stream:
        found = subprocess.run(
            command,
            cwd=tmp_path,
            stdout=stream,
            stderr=subprocess.PIPE,
            timeout=120,
            env={**os.environ, "PYTHONPATH": str(package)},
        )
    assert (found.returncode, found.stderr) == (141, b"")


@pytest.mark.skipif(os.name != "posix", reason="the shell's way to close a stream")
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("draw t.npz -o - >&-", "standard output is closed"),
        ("figure photo.png -o - >&-", "standard output is closed"),
        ("figure - -o f.pdf <&-", "standard input is closed"),
        ("render - <&-", "standard input is closed"),
    ],
)
def test_streams_that_the_shell_has_closed(photo: Path, tmp_path: Path, command: str, said: str) -> None:
    save(tmp_path / "t.npz")
    found = subprocess.run(
        ["sh", "-c", f'"$0" -m attnviz {command}', sys.executable],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert (found.returncode, found.stderr.count("\n")) == (1, 1)
    assert said in found.stderr


@pytest.mark.parametrize(("disk", "named"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_photo_is_found_by_either_unicode_form_of_its_name(
    cli: Run, photo: Path, tmp_path: Path, disk: Any, named: Any
) -> None:
    """macOS writes names decomposed, and most of what people type is composed."""
    folder = tmp_path / "trip"
    folder.mkdir()
    photo.rename(folder / unicodedata.normalize(disk, "caf\u00e9.png"))
    asked = unicodedata.normalize(named, "caf\u00e9.png")
    save(folder / "t.npz", name=asked)
    for args in (("trip/t.npz",), ("trip/t.npz", "--image", "trip"), ("trip/t.npz", "--image", f"trip/{asked}")):
        status, _, err = cli("draw", *args, "-f", "gif", "-o", "out", "-q")
        assert (status, err) == (0, "")


@pytest.mark.parametrize("out", ["x" * 256, f"{'x' * 256}/y.gif", f"{'x' * 256}.gif"])
def test_an_output_with_too_long_a_name_is_one_line(cli: Run, photo: Path, tmp_path: Path, out: str) -> None:
    save(tmp_path / "t.npz")
    status, _, err = cli("draw", "t.npz", "-o", out, "-q")
    assert (status, err.count("\n")) == (1, 1)
    assert re.search(r"x: cannot be written: a name of 256 bytes is too long|\.gif: cannot be written: .*too long", err)


def test_a_photo_with_the_longest_name_is_drawn(cli: Run, photo: Path, tmp_path: Path) -> None:
    long = "x" * 251 + ".png"
    photo.rename(tmp_path / long)
    save(tmp_path / "t.npz", name=long)
    assert cli("draw", "t.npz", "-f", "gif", "-q")[::2] == (0, "")
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert re.fullmatch("x{236}-[0-9a-f]{8}-attention", folder.name)
    assert cli("draw", folder.name, "-f", "gif", "-q")[::2] == (0, "")


@pytest.mark.parametrize("url", ["https://x.org/a.npz", "http:/x.org/a.npz", "s3://x/a.npz"])
def test_a_url_is_no_trace_and_no_photo(cli: Run, photo: Path, tmp_path: Path, url: str) -> None:
    save(tmp_path / "t.npz")
    said = f"attnviz: error: {url}: is a URL, not a file; download it first, and name the file\n"
    assert cli("draw", url) == (1, "", said)
    assert cli("draw", "t.npz", "--image", url) == (1, "", said)
    assert cli("draw", "--weights", url, "--tokens", "a", "--image", "photo.png") == (1, "", said)
    with pytest.raises(TraceError, match="download it first"):
        Trace.load(url)


def test_a_token_that_the_file_systems_encoding_lacks(process: Run, photo: Path, tmp_path: Path) -> None:
    """Letters lose their marks; what has none of the encoding's letters is called by its number alone."""
    Trace(np.full((3, 3, 4), 1 / 12, np.float32), ("caf\u00e9", "\u8a9e", "dog")).save(tmp_path / "t.npz")
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    status, _, err = process("draw", "t.npz", "--image", "photo.png", "-f", "png", "-o", "out", "-q", env=env)
    assert (status, err) == (0, "")
    found = sorted(path.name for path in (tmp_path / "out").glob("step-*"))
    assert found == ["step-00-cafe.png", "step-01-word.png", "step-02-dog.png"]
