"""What users hear of their photos: remarks unless -q, kinds that need an extra, files left out; photos out of pipes."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from picture_files import encode
from PIL import Image

from attnviz import Trace
from attnviz.photo import colour, jpeg

if TYPE_CHECKING:
    import numpy as np

Run = Callable[..., Any]
QUICK = ("--text", "a dog", "-f", "png", "--size", "64")


@pytest.fixture
def odd(tmp_path: Path, pixels: np.ndarray) -> Path:
    """`odd.jpg`, whose profile is no profile and whose end is missing."""
    path = tmp_path / "odd.jpg"
    path.write_bytes(encode(Image.fromarray(pixels), "JPEG", icc_profile=b"none").removesuffix(b"\xff\xd9"))
    return path


REMARKS = (jpeg.NO_END, colour.BROKEN)


def test_render_tells_and_the_trace_keeps_it(cli: Run, checkpoint: Path, odd: Path, tmp_path: Path) -> None:
    found = cli("render", odd, "--model", checkpoint, *QUICK, "-o", "out")
    assert found.status == 0
    for remark in REMARKS:
        assert f"attnviz: {odd}: {remark}\n" in found.err
    trace = Trace.load(tmp_path / "out" / "trace.npz")
    assert trace.image is not None
    assert trace.image.remarks == REMARKS
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())["trace"]
    assert tuple(summary["notes"][:2]) == REMARKS
    assert tuple(summary["image"]["remarks"]) == REMARKS
    quiet = cli("render", odd, "--model", checkpoint, *QUICK, "-o", "out", "-q")
    assert (quiet.status, quiet.err) == (0, "")


def test_draw_tells_each_remark_once(cli: Run, checkpoint: Path, odd: Path) -> None:
    cli("render", odd, "--model", checkpoint, *QUICK, "-o", "out")
    found = cli("draw", "out/trace.npz", "--image", odd, "-f", "png", "-o", "again")
    assert found.status == 0
    assert [found.err.count(remark) for remark in REMARKS] == [1, 1]


def test_figure_tells(cli: Run, checkpoint: Path, odd: Path) -> None:
    asked = ("figure", odd, "--model", checkpoint, "--text", "a dog", "-o", "f.pdf")
    found = cli(*asked)
    assert found.status == 0
    assert all(f"attnviz: odd.jpg: {remark}\n" in found.err for remark in REMARKS)
    assert cli(*asked, "-q").err == ""


def test_batch_tells_and_the_manifest_keeps_it(cli: Run, checkpoint: Path, odd: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    odd.rename(tmp_path / "photos" / "odd.jpg")
    for name in ("a.NEF", "b.nef", "c.jxl"):
        (tmp_path / "photos" / name).write_bytes(b"")
    asked = ("batch", "photos", "-o", "out", "--model", checkpoint, *QUICK, "--threads", "1")
    found = cli(*asked, "--json")
    assert found.status == 0
    assert all(f"attnviz: odd.jpg: {remark}\n" in found.err for remark in REMARKS)
    assert "3 files that look like photos were left out (2 .nef, 1 .jxl; a.NEF, ...): save as JPEG or PNG" in found.err
    assert json.loads(found.out)["left_out"] == ["a.NEF", "b.nef", "c.jxl"]
    (line,) = (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()
    assert tuple(json.loads(line)["remarks"]) == REMARKS
    assert cli(*asked, "--force", "-q").err == ""


def test_heic_needs_an_extra(
    cli: Run, checkpoint: Path, tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pillow_heif

    (tmp_path / "photos").mkdir()
    heif = pillow_heif.from_pillow(Image.fromarray(pixels))
    heif.save(tmp_path / "photos" / "phone.HEIC", quality=95)
    asked = ("--model", checkpoint, *QUICK)
    assert cli("render", "photos/phone.HEIC", *asked).status == 0
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    hint = "phone.HEIC: is a HEIC photo; pip install 'attnviz[heic]' to read it, or save it as JPEG\n"
    found = cli("render", "photos/phone.HEIC", *asked)
    assert (found.status, found.err) == (1, f"attnviz: error: photos/{hint}")
    found = cli("batch", "photos", "-o", "out", *asked, "--threads", "1")
    assert found.status == 1
    assert f"attnviz: error: {hint}" in found.err
    assert "0 done, 1 failed" in found.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize("command", ["render", "figure"])
def test_photos_out_of_pipes(cli: Run, checkpoint: Path, photo: Path, tmp_path: Path, command: str) -> None:
    """Named ones, and those that a shell makes of <(...)."""
    os.mkfifo(tmp_path / "pipe")
    out = ("-o", "out.pdf") if command == "figure" else ("-f", "png", "-o", "out")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(photo.read_bytes()))
    writer.start()
    found = cli(command, "pipe", "--model", checkpoint, "--text", "a dog", *out, "-q")
    writer.join()
    assert (found.status, found.out, found.err) == (0, "pipe: a dog\n", "")
    reading, writing = os.pipe()
    os.write(writing, photo.read_bytes())
    os.close(writing)
    found = cli(command, f"/dev/fd/{reading}", "--model", checkpoint, "--text", "a dog", *out, "-q")
    os.close(reading)
    assert (found.status, found.err) == (0, "")


def test_nothing_is_printed_of_odd_exif(cli: Run, checkpoint: Path, tmp_path: Path, pixels: np.ndarray) -> None:
    """Of an orientation that is there twice, and of an entry larger than the file."""
    twice = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x02\0\0\0\x06\0\x06\0\0\0\0\0"
    huge = b"II*\0\x08\0\0\0\x02\0\x0f\x01\x02\0\xff\xff\xff\x7f\x1a\0\0\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    for name, exif in (("twice", twice), ("huge", huge)):
        data = encode(Image.fromarray(pixels), "JPEG", exif=b"Exif\0\0" + exif, quality=95)
        (tmp_path / f"{name}.jpg").write_bytes(data)
        found = cli("render", f"{name}.jpg", "--model", checkpoint, *QUICK, "-o", name, "-q")
        assert (found.status, found.err) == (0, "")
        trace = Trace.load(tmp_path / name / "trace.npz")
        assert trace.image is not None
        assert trace.image.size == (60, 40)  # it was turned
