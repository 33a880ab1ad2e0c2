"""`attnviz convert`, and every other command with what it makes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import attnviz
from attnviz.captioner import load_checkpoint

if TYPE_CHECKING:
    from attnviz.train import DataConfig

Run = Callable[..., Any]


def test_a_checkpoint_becomes_a_model_that_draws(
    saved: dict[str, Path], wordmap: Path, blots: list[Path], cli: Run, tmp_path: Path
) -> None:
    status, out, err = cli("convert", saved["legacy"], "--wordmap", wordmap, "-o", "toy.safetensors")
    assert (status, out) == (0, "toy.safetensors\n")
    assert err == "attnviz: resnet-bottleneck-1-1-1-1, 21 words, after epoch 7, its own BLEU-4 0.241\n"
    assert (
        cli("convert", saved["zip"], "--wordmap", wordmap, "-o", "named.safetensors", "--name", "mine", "-q").err == ""
    )
    assert load_checkpoint(tmp_path / "named.safetensors").name == "mine"
    status, out, err = cli("render", blots[0], "--model", "toy.safetensors", "-o", "out", "-f", "png,html")
    assert status == 0
    assert "averages them to 14x14" in err
    assert out == f"{blots[0]}: {attnviz.explain(attnviz.load_model('toy.safetensors'), blots[0])[0].caption}\n"
    trace = attnviz.Trace.load(tmp_path / "out" / "trace.npz")
    assert (trace.mode, trace.model, trace.grid) == ("additive-relu", "toy", (14, 14))
    assert (tmp_path / "out" / "attention.html").stat().st_size > 10_000


def test_wrong_usage_is_one_line(saved: dict[str, Path], wordmap: Path, blots: list[Path], cli: Run) -> None:
    for arguments, said, expected in (
        (("convert", saved["zip"], "-o", "x.safetensors"), "'--wordmap'", 2),
        (("convert", saved["zip"], "--wordmap", wordmap), "'-o'", 2),
        (("convert", saved["zip"], "--wordmap", wordmap, "-o", "x.pth"), "ends in .safetensors", 2),
        (("convert", saved["zip"], "--wordmap", wordmap, "-o", "x.safetensors", "--input", "8"), "--input", 2),
        (("convert", "none.pth", "--wordmap", wordmap, "-o", "x.safetensors"), "none.pth: cannot be read", 1),
        (("convert", saved["zip"], "--wordmap", "none.json", "-o", "x.safetensors"), "none.json: cannot be read", 1),
        (("convert", saved["zip"], "--wordmap", saved["zip"], "-o", "x.safetensors"), "is no JSON", 1),
        (("render", blots[0], "--model", saved["zip"]), "with: attnviz convert", 1),
        (("models", saved["legacy"]), "with: attnviz convert", 1),
    ):
        status, out, err = cli(*arguments)
        assert (status, out, err.count("\n")) == (expected, "", 1), arguments
        assert said in err


def test_batch_figure_and_models_take_it(converted: Path, blots: list[Path], cli: Run, tmp_path: Path) -> None:
    folder = blots[0].parent
    assert cli("batch", folder, "-o", "results", "--model", converted, "-f", "png", "-q").status == 0
    lines = [json.loads(line) for line in (tmp_path / "results" / "manifest.jsonl").read_text().splitlines()]
    assert {line["state"] for line in lines} == {"done"}
    said = {line["path"]: line["caption"] for line in lines}["0.png"]
    status, out, _ = cli("figure", blots[0], "-o", "fig.pdf", "--model", f"{converted},{converted}", "--difference")
    assert status == 0
    assert said in out
    status, out, _ = cli("models", converted, "--json")
    (facts,) = json.loads(out)
    assert (facts["mode"], facts["words"], facts["default"]) == ("additive-relu", 21, False)
    assert facts["config"]["decoder"] == "show-attend-tell"
    assert "resnet-bottleneck-1-1-1-1, input 256x256" in cli("models", converted).out


def test_it_is_measured_and_trained_further(converted: Path, data: DataConfig, cli: Run, tmp_path: Path) -> None:
    status, out, _ = cli("evaluate", converted, data.train, "--json", "--beam", "1", "-q", "--card")
    assert status == 0
    report = json.loads(out)
    assert report["localization"]["uniform"]["phrases"] == 8
    assert report["mode"] == "additive-relu"
    before = load_checkpoint(converted).state_dict()
    (tmp_path / "run.toml").write_text(
        f'out = "more.safetensors"\nstart = "{converted}"\n[data]\ntrain = "{data.train}"\ndev = "{data.dev}"\n'
        f'cache = "{data.cache}"\nminimum = 1\ncaptions = 2\n'
        "[train]\nepochs = 2\nphotos = 2\nrate = 0.01\naverage = 0.5\nflip = false\ncritical = 1\n"
    )
    status, out, err = cli("train", "run.toml")
    assert (status, out) == (0, "more.safetensors\n")
    assert "grid 14x14" in err
    model = load_checkpoint(tmp_path / "more.safetensors")
    assert model.config == load_checkpoint(converted).config
    after = model.state_dict()
    backbone = [key for key in before if key.startswith("backbone.")]
    assert all(np.allclose(after[key], before[key], rtol=1e-3, atol=1e-3) for key in backbone)
    assert not np.allclose(after["decoder.init_h.weight"], before["decoder.init_h.weight"], atol=1e-3)
    log = [json.loads(line) for line in (tmp_path / "more.log").read_text().splitlines()]
    assert log[1]["words"] < log[0]["words"]
    assert cli("render", tmp_path / "red.png", "--model", "more.safetensors", "-f", "png").status == 0
