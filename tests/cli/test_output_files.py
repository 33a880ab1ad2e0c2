"""`-o FILE` in every format, each file opened by a reader that is not ours; and folders drawn again."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

from attnviz import Frame, Trace
from attnviz.cli.choices import FILES
from attnviz.trace.meta import ImageInfo

Run = Callable[..., Any]
WORDS = ("a", "dog", "runs")


def made_up(mode: str = "concat", name: str = "photo.png", seed: int = 0) -> Trace:
    """Of the fixture `photo`; the second word is unsure."""
    weights = np.random.default_rng(seed).dirichlet(np.full(12, 0.3), 3).astype(np.float32).reshape(3, 3, 4)
    logprobs = np.log([0.9, 0.05, 0.5]).astype(np.float32)
    frame = Frame.stretch((40, 60), (24, 32), (3, 4))
    return Trace(weights, WORDS, logprobs, frame=frame, image=ImageInfo(name, (40, 60)), mode=mode)


@pytest.fixture
def trace(photo: Path, tmp_path: Path) -> Path:
    path = tmp_path / "t.npz"
    made_up().save(path)
    return path


def pillow(path: Path, kind: str) -> list[np.ndarray]:
    with Image.open(path) as image:
        assert image.format == kind
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]


def check_gif(path: Path) -> None:
    assert len(pillow(path, "GIF")) == len(WORDS)


def check_png(path: Path) -> None:
    (sheet,) = pillow(path, "PNG")
    assert sheet.shape[1] > 3 * 60  # the photo and three words side by side


def check_webp(path: Path) -> None:
    assert len(pillow(path, "WEBP")) == len(WORDS)


def check_apng(path: Path) -> None:
    assert len(pillow(path, "PNG")) == len(WORDS)


def check_mp4(path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert sum(1 for _ in video.decode(stream)) > len(WORDS)


def check_html(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    assert json.loads(found[1])["tokens"] == list(WORDS)


def check_pdf(path: Path) -> None:
    data = path.read_bytes()
    assert data.startswith(b"%PDF-")
    assert data.rstrip().endswith(b"%%EOF")
    if shutil.which("pdftotext"):
        said = subprocess.run(["pdftotext", path, "-"], capture_output=True, check=True).stdout.decode()
        assert set(WORDS) <= set(re.findall(r"\w+", said))


def check_svg(path: Path) -> None:
    root = ET.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(root.findall(".//{http://www.w3.org/2000/svg}image")) >= 1 + len(WORDS)


def check_npz(path: Path) -> None:
    with np.load(path, allow_pickle=False) as saved:
        np.testing.assert_array_equal(saved["weights"], made_up().weights)


def check_jpg(path: Path) -> None:
    (still,) = pillow(path, "JPEG")
    assert still.shape == (40, 60, 3)


def check_json(path: Path) -> None:
    found = json.loads(path.read_bytes())
    assert [category["name"] for category in found["categories"]] == list(WORDS)
    assert found["annotations"]


CHECKS = {
    "json": check_json,
    "gif": check_gif,
    "png": check_png,
    "webp": check_webp,
    "apng": check_apng,
    "mp4": check_mp4,
    "html": check_html,
    "pdf": check_pdf,
    "svg": check_svg,
    "npz": check_npz,
    "jpg": check_jpg,
}


def test_every_suffix_has_its_check() -> None:
    assert set(CHECKS) == set(FILES)


@pytest.mark.parametrize("suffix", FILES)
def test_one_file_by_its_suffix(cli: Run, trace: Path, tmp_path: Path, suffix: str) -> None:
    if suffix == "mp4":
        pytest.importorskip("av")
    chosen = ["--steps", "1"] if suffix == "jpg" else []
    status, out, err = cli("draw", "t.npz", "-o", f"new/out.{suffix}", *chosen)
    assert (status, out) == (0, "t.npz: a dog runs\n")
    assert err.splitlines()[-1].startswith(f"attnviz: t.npz: new{Path('/')}out.{suffix}".replace("//", "/"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == [f"out.{suffix}"]
    CHECKS[suffix](tmp_path / "new" / f"out.{suffix}")


def test_another_format_of_the_same_suffix(cli: Run, trace: Path, tmp_path: Path) -> None:
    assert cli("draw", "t.npz", "-o", "dog.png", "-f", "png", "--steps", "1", "-q").status == 0
    assert pillow(tmp_path / "dog.png", "PNG")[0].shape == (40, 60, 3)
    assert cli("draw", "t.npz", "-o", "dog.webp", "-f", "webp-stills", "--steps", "1", "-q").status == 0
    assert len(pillow(tmp_path / "dog.webp", "WEBP")) == 1
    assert cli("draw", "t.npz", "-o", "maps.npz", "-f", "arrays", "-q").status == 0
    with np.load(tmp_path / "maps.npz") as saved:
        assert saved["density"].shape == (3, 40, 60)
    status, _, err = cli("draw", "t.npz", "-o", "dog.png", "-f", "gif")
    assert (status, err.count("\n")) == (2, 1)


def test_render_writes_one_file_and_says_so_in_json(cli: Run, photo: Path, checkpoint: Path, tmp_path: Path) -> None:
    status, out, _ = cli("render", "photo.png", "--model", checkpoint, "-o", "sub/all.png", "--json", "-q")
    assert status == 0
    (result,) = json.loads(out)["results"]
    assert (result["folder"], result["files"]) == ("sub", ["all.png"])
    assert pillow(tmp_path / "sub" / "all.png", "PNG")
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", "sub"}


def test_a_folder_may_end_like_a_file(cli: Run, trace: Path, tmp_path: Path) -> None:
    (tmp_path / "old.gif").mkdir()
    assert cli("draw", "t.npz", "-o", "old.gif", "-f", "gif", "-q").status == 0
    assert (tmp_path / "old.gif" / "attention.gif").is_file()


def test_a_file_below_a_file_is_one_line(cli: Run, trace: Path) -> None:
    status, _, err = cli("draw", "t.npz", "-o", "photo.png/out.gif")
    assert (status, err.count("\n")) == (1, 1)
    assert "photo.png is a file" in err


def test_a_result_folder_is_drawn_again_with_its_photo(cli: Run, photo: Path, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    shutil.move(photo, tmp_path / "photos" / "p.png")
    assert cli("render", "photos/p.png", "--model", checkpoint, "-o", "out/p", "-f", "gif", "-q").status == 0
    before = (tmp_path / "out" / "p" / "attention.gif").read_bytes()
    status, _, err = cli("draw", "out/p", "--style", "contour", "-f", "gif")
    assert (status, "3 files in out" in err) == (0, True)
    after = (tmp_path / "out" / "p" / "attention.gif").read_bytes()
    assert after != before
    assert cli("draw", "out/p", "-o", "again.gif", "--style", "contour", "-q").status == 0
    assert (tmp_path / "again.gif").read_bytes() == after
    shutil.move(tmp_path / "photos", tmp_path / "elsewhere")
    status, _, err = cli("draw", "out/p")
    assert (status, "give it with --image" in err) == (1, True)
    assert cli("draw", "out/p", "--image", "elsewhere", "-f", "gif", "-q").status == 0
    status, _, err = cli("draw", "out/p", "--image", "out")
    assert (status, "out: holds no photo p.png" in err) == (1, True)


@pytest.mark.parametrize("summary", ["{}", "[1]", '{"attnviz": "1", "files": [1, "../x"], "photo": 3}', "no"])
def test_a_folder_that_is_none_of_ours_is_one_line(cli: Run, tmp_path: Path, summary: str) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "summary.json").write_text(summary)
    status, out, err = cli("draw", "f")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("attnviz: error: f")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    from attnviz.captioner import Captioner, save_checkpoint

    for mode in ("concat", "dot"):
        save_checkpoint(Captioner.tiny(mode=mode, seed=1), tmp_path / "models" / f"{mode}.safetensors")
    return tmp_path / "models"


def test_several_modes_in_every_format(cli: Run, photo: Path, models: Path, tmp_path: Path) -> None:
    asked = (
        "render",
        "photo.png",
        "--model",
        models,
        "--modes",
        "dot,concat",
        "--text",
        "a dog",
        "--scale",
        "shared",
        "-q",
    )
    formats = "png,gif,overview,jpg,webp-stills,apng,webp,html,svg,arrays"
    assert cli(*asked, "-o", "out", "-f", formats).status == 0
    folder = tmp_path / "out"
    names = {path.name for path in folder.iterdir()}
    assert {"trace.npz", "trace-concat.npz", "heatmaps.npz", "heatmaps-concat.npz"} <= names
    assert [Trace.load(folder / name).mode for name in ("trace.npz", "trace-concat.npz")] == ["dot", "concat"]
    for suffix in ("png", "jpg", "webp"):
        assert {f"step-01-dog.{suffix}", f"step-01-dog-concat.{suffix}"} <= names
    first, second = (pillow(folder / f"step-01-dog{end}.png", "PNG")[0] for end in ("", "-concat"))
    assert (first != second).any()
    for name, kind in (("attention.gif", "GIF"), ("attention.apng", "PNG"), ("attention.webp", "WEBP")):
        assert len(pillow(folder / name, kind)) == 2
    # Drawn again from the folder, it is the same; with fewer formats the other files go, of both modes.
    before = (folder / "overview.png").read_bytes()
    assert cli("draw", "out", "-f", "overview", "--scale", "shared", "-q").status == 0
    assert (folder / "overview.png").read_bytes() == before
    left = {"overview.png", "trace.npz", "trace-concat.npz", "summary.json"}
    assert {path.name for path in folder.iterdir()} == left
    with zipfile.ZipFile(io.BytesIO((folder / "trace-concat.npz").read_bytes())) as archive:
        assert "weights.npy" in archive.namelist()


def test_an_old_name_of_a_scale_is_told_once(cli: Run, trace: Path, tmp_path: Path) -> None:
    status, _, err = cli("draw", "t.npz", "-f", "gif", "--scale", "uniform")
    assert status == 0
    assert err.splitlines()[0] == "attnviz: --scale uniform is called linear now"
    assert cli("draw", "t.npz", "-f", "gif", "--scale", "uniform", "-q").err == ""
    (tmp_path / "old.toml").write_text('scale = "uniform"\n')
    assert cli("draw", "t.npz", "-f", "gif", "--config", "old.toml").err.count("called linear") == 1
    options = json.loads((tmp_path / "photo-attention" / "summary.json").read_text())["options"]
    assert options["scale"] == "linear"
