"""Everything that exists works with a model of Hugging Face, on the command line."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tinyhf.hanging import GRIDS, WORD, lit, save

import attnviz

OnDisk = Callable[[str], Path]
TEXT = ("--text", "a dog runs")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (90, 120, 3), dtype=np.uint8)).save(path)
    return path


def test_render_in_every_format_and_draw_again(cli: Any, photo: Path, on_disk: OnDisk, tmp_path: Path) -> None:
    model = f"hf:{on_disk('llava_next')}"
    formats = "png,gif,overview,html,arrays,boxes"
    found = cli("render", photo, "--model", model, *TEXT, "--prompt", "what is this", "-f", formats, "-o", "out")
    assert (found.status, found.out) == (0, f"{photo}: a dog runs\n")
    assert "transformers" not in found.err
    trace = attnviz.Trace.load(tmp_path / "out" / "trace.npz")
    assert trace.prompt == "what is this"
    assert (trace.layers, trace.heads, trace.view) == ("all", "mean", "all")
    assert trace.model == "llava_next"
    assert trace.on_image is not None
    assert (trace.on_image > 0).all()
    assert len(list((tmp_path / "out").glob("step-*.png"))) == 3
    assert cli("draw", "out/trace.npz", "--image", photo, "-o", "again", "-f", "gif", "--relative").status == 0
    bits = [(tmp_path / name / "trace.npz").read_bytes() for name in ("out", "again")]
    assert bits[0] == bits[1]


def test_layers_side_by_side_are_recorded_in_one_run(
    cli: Any, photo: Path, on_disk: OnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from attnviz.adapters.hf import replay

    runs: list[int] = []
    write = replay.write

    def counted(*args: Any) -> Any:
        runs.append(1)
        return write(*args)

    monkeypatch.setattr("attnviz.adapters.hf.running.write", counted)
    model = f"hf:{on_disk('llava_next')}"
    rows = ("--layers", "0,2,0-1")
    assert cli("render", photo, "--model", model, *TEXT, *rows, "-f", "html", "-o", "page").status == 0
    assert len(runs) == 1
    page = (tmp_path / "page" / "attention.html").read_text()
    assert all(name in page for name in ("layer 0", "layer 2", "layers 0-1"))
    assert cli("figure", photo, "--model", model, *TEXT, *rows, "-o", "fig.svg").status == 0
    assert len(runs) == 2
    assert (tmp_path / "fig.svg").stat().st_size > 1000
    for layers, name in (("0", "trace.npz"), ("2", "trace-layer-2.npz")):
        assert cli("render", photo, "--model", model, *TEXT, "--layer", layers, "-f", "gif", "-o", "one").status == 0
        alone, beside = (attnviz.Trace.load(tmp_path / path) for path in ("one/trace.npz", f"page/{name}"))
        assert beside.layers == layers
        np.testing.assert_array_equal(alone.weights, beside.weights)
    wrong = cli("render", photo, "--model", model, "--layers", "0,1", "--layer", "last")
    assert wrong.status == 2
    assert "--layer chooses one map and --layers several" in wrong.err
    assert cli("render", photo, "--layers", "0,1").err.count("there are no layers to choose in this model") == 1
    assert cli("render", photo, "--layers", "0,x").status == cli("render", photo, "--head", "most").status == 2


def test_a_folder_of_photos_of_any_size(cli: Any, on_disk: OnDisk, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number, size in enumerate(((40, 60), (90, 31), (64, 64))):
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    options = ("--model", f"hf:{on_disk('internvl')}", *TEXT, "-f", "gif", "--layers", "0,1", "--threads", "1")
    found = cli("batch", "photos", "-o", "out", *options)
    assert found.status == 0, found.err
    lines = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    assert sorted(line["path"] for line in lines) == ["0.png", "1.png", "2.png"]
    assert {line["caption"] for line in lines} == {"a dog runs"}
    assert "3 of 3 photos are done already" in cli("batch", "photos", "-o", "out", *options).err
    grids = {attnviz.Trace.load(path).grid for path in (tmp_path / "out").glob("*/trace.npz")}
    assert len(grids) > 1


def test_pieces_become_words(cli: Any, photo: Path, on_disk: OnDisk, tmp_path: Path) -> None:
    model = f"hf:{on_disk('pieces')}"
    given = ("--text", "emoji 🐶 läuft, ja 狗在")
    assert cli("render", photo, "--model", model, *given, "-f", "png", "-o", "words").status == 0
    assert cli("render", photo, "--model", model, *given, "-f", "png", "-o", "pieces", "--pieces").status == 0
    trace = attnviz.Trace.load(tmp_path / "words" / "trace.npz")
    assert trace.words is not None
    assert "".join(trace.tokens) == given[1]
    joined = trace.joined()
    assert joined.tokens == ("emoji", "🐶", "läuft", ",", "ja", "狗", "在")
    assert len(trace) > len(joined)
    first = trace.words == 0
    np.testing.assert_allclose(joined.weights[0], trace.weights[first].mean(axis=0), atol=1e-6)
    assert trace.logprobs is not None
    assert joined.logprobs is not None
    assert joined.logprobs[0] == pytest.approx(trace.logprobs[first].sum(), abs=1e-4)
    counts = {name: len(list((tmp_path / name).glob("step-*.png"))) for name in ("words", "pieces")}
    assert counts == {"words": len(joined), "pieces": len(trace)}


@pytest.mark.parametrize(
    ("model", "match"),
    [("hf:none/", "no such folder"), ("hf:owner/model", "hf download owner/model")],
)
def test_a_model_that_is_not_there(cli: Any, photo: Path, model: str, match: str, no_network: None) -> None:
    found = cli("render", photo, "--model", model)
    assert found.status == 1
    assert found.err.count("\n") == 1
    assert match in found.err


@pytest.mark.parametrize("name", GRIDS)
def test_check_compares_both_maps(cli: Any, name: str, tmp_path: Path, no_network: None) -> None:
    """A word hangs on one cell: attention is even, and says nothing; the map by gradient lies on that cell."""
    model = f"hf:{save(name, tmp_path / 'model')}"
    pixels = lit(name, 2, 3)
    Image.fromarray(pixels).save("lit.png")
    found = cli("render", "lit.png", "--model", model, "--text", WORD, "--map", "gradient", "-f", "png", "-o", "second")
    assert (found.status, found.out) == (0, f"lit.png: {WORD}\n")
    trace = attnviz.Trace.load(tmp_path / "second" / "trace.npz")
    assert trace.settings["map"] == "gradient"
    assert trace.steps[0].peak == (2, 3)
    assert trace.weights.max() > 0.99
    options = ("--model", model, "--text", WORD, "--parts", "4", "--draws", "2")
    found = cli("check", "lit.png", *options, "-f", "table,pdf,html", "-o", "checked")
    assert found.status == 0, found.err
    told = " ".join(found.out.split())  # remarks are wrapped
    assert "does better than the attention at 1 of 1 word in deletion and at 1 in insertion" in told
    assert {path.name for path in (tmp_path / "checked").glob("evidence.*")} == {
        f"evidence.{kind}" for kind in ("json", "pdf", "html")
    }
    (result,) = json.loads(cli("check", "lit.png", *options, "-f", "json", "-o", "checked", "-q").out)["results"]
    (word,) = result["words"]
    assert word["deletion"]["second"] < word["deletion"]["area"]
    assert word["insertion"]["second"] > word["insertion"]["area"]
    assert word["deletion"]["second"] < min(word["deletion"]["random"]) + 0.02  # blurring leaves a little of the cell
    assert result["passes"] == 2 + 3 * (2 * 2 + 2 * 2 + 3) + len(pixels) * len(pixels[0]) // 64


def test_evidence_is_averaged(cli: Any, tmp_path: Path, no_network: None) -> None:
    """The same over a split: the map by gradient is the better one."""
    model = f"hf:{save(next(iter(GRIDS)), tmp_path / 'model')}"
    Image.fromarray(lit(next(iter(GRIDS)), 2, 3)).save("lit.png")
    with zipfile.ZipFile("dev.zip", "w") as archive:
        for number in range(2):
            archive.write("lit.png", f"{number}.png")
    lines = [{"image": f"{number}.png", "captions": [{"tokens": [WORD]}]} for number in range(2)]
    Path("dev.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = cli("evaluate", model, "dev", "--evidence", "--json", "-q")
    assert (found.status, found.err) == (0, "")
    (one,) = json.loads(found.out)["models"]
    assert (one["photos"], one["unread"], one["words"]) == (2, 0, {"content": 2, "function": 0})
    assert one["means"]["content"]["deletion, gradient below attention"]["value"] > 0
    assert one["means"]["content"]["insertion, gradient above attention"]["value"] > 0
    assert one["layers"]["content"] == {}
