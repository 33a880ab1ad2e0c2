"""`attnviz draw --weights`: attention of other programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnviz import Frame, Trace

Run = Callable[..., Any]


@pytest.fixture
def weights(tmp_path: Path) -> np.ndarray:
    """`w.npy`: (2, 4, 3, 17) attention of 2 layers and 4 heads for 3 words, to a CLS token and 4x4 cells."""
    made: np.ndarray = np.random.default_rng(0).dirichlet(np.full(17, 0.3), (2, 4, 3))
    np.save(tmp_path / "w.npy", made)
    return made


def test_weights_are_drawn(cli: Run, photo: Path, tmp_path: Path, weights: np.ndarray) -> None:
    given = ("--weights", "w.npy", "--tokens", "a, dog,runs", "--image", photo, "--skip", "1")
    status, out, err = cli("draw", *given, "-f", "png")
    assert (status, out) == (0, "w.npy: a dog runs\n")
    folder = tmp_path / "photo-attention"
    assert {path.name for path in folder.glob("*.png")} == {"step-00-a.png", "step-01-dog.png", "step-02-runs.png"}
    trace = Trace.load(folder / "trace.npz")
    mean = weights.mean(axis=(0, 1))
    np.testing.assert_allclose(trace.weights.reshape(3, 16), mean[:, 1:] / mean[:, 1:].sum(1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(trace.on_image, mean[:, 1:].sum(axis=1), atol=1e-6)  # type: ignore[arg-type]
    assert (trace.image.name if trace.image else None, trace.grid) == ("photo.png", (4, 4))
    again = cli("draw", folder / "trace.npz", "-o", tmp_path / "again")
    assert again.status == 0
    assert err.endswith(f"5 files in photo-attention{'/' if '/' in str(photo) else chr(92)}\n")


def test_choices(cli: Run, photo: Path, tmp_path: Path, weights: np.ndarray) -> None:
    (tmp_path / "words.json").write_text('["a", "dog,", "runs"]')
    chosen = ("--grid", "2x8", "--skip", "1,0", "--heads", "2", "--layers", "last", "--frame", "crop")
    status, out, _ = cli(
        "draw", "--weights", "w.npy", "--tokens", "words.json", "--image", photo, *chosen, "--json", "-f", "arrays"
    )
    assert status == 0
    (result,) = json.loads(out)["results"]
    assert (result["caption"], result["grid"], result["heads"], result["layers"]) == (
        "a dog, runs",
        [2, 8],
        "2",
        "last",
    )
    assert result["frame"]["kind"] == "crop"
    assert Frame.from_dict({k: v for k, v in result["frame"].items() if k != "kind"}).photo == (40, 60)
    trace = Trace.load(tmp_path / "photo-attention" / "trace.npz")
    one = weights[1, 2, :, 1:]
    np.testing.assert_allclose(trace.weights.reshape(3, 16), one / one.sum(axis=1, keepdims=True), atol=1e-6)


WEIGHTS = ("--weights", "w.npy", "--image", "photo.png")
GIVEN = (*WEIGHTS, "--tokens", "a,b,c")


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        ((), 2, "give a trace, or --weights"),
        (("t.npz", "--weights", "w.npy"), 2, "give a trace, or --weights"),
        (("t.npz", "--tokens", "a"), 2, "--tokens is of --weights"),
        (("--weights", "w.npy", "--tokens", "a,dog,runs"), 2, "give it with --image"),
        (("--weights", "w.npy", "--image", "photo.png"), 1, "w.npy: has no tokens; give the words with --tokens"),
        (("--weights", "w.npy", "--tokens", "a", "--image", "no.png"), 1, "no.png: no such file"),
        (("--weights", "no.npy", "--tokens", "a", "--image", "photo.png"), 1, "no.npy: no such file"),
        (("--weights", "photo.png", "--tokens", "a", "--image", "photo.png"), 1, "photo.png: is none of what weights"),
        ((*WEIGHTS, "--tokens", "a,b"), 1, "w.npy: attention of 3 steps, but 2"),
        ((*GIVEN,), 1, "give --grid HxW; a CLS token in front? then --skip 1"),
        ((*GIVEN, "--grid", "3x4"), 1, "--skip BEFORE,AFTER"),
        ((*GIVEN, "--heads", "x"), 2, "'x' is none; give mean"),
        ((*GIVEN, "--skip", "1", "--layers", "7"), 1, "w.npy: layers: there is no 7; there are 2"),
        (("--weights", "w.npy", "--tokens", "a", "--grid", "4by4"), 2, "'4by4' is no grid"),
        (("--weights", "w.npy", "--tokens", "a", "--skip", "one"), 2, "'one' is no number of columns"),
        (("--weights", "w.npy", "--tokens", "a", "--frame", "cut"), 2, "no frame is called 'cut'"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_line(
    cli: Run, photo: Path, weights: np.ndarray, args: tuple[str, ...], status: int, words: str
) -> None:
    outcome = cli("draw", *args)
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (status, "", 1)
    assert words in outcome.err
