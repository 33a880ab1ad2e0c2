"""`Trace.of`: attention as other programs have it, against plain loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image

from attnviz import Frame, Trace
from attnviz.errors import AttnvizError, ConfigError, ImageError, TraceError
from attnviz.photo.image import load
from attnviz.trace import ImageInfo
from attnviz.trace.words import Pieces

Array = npt.NDArray[np.float64]
WORDS = ("a", "dog", "runs")


def rows(*shape: int, seed: int = 0) -> Array:
    """Softmax rows along the last axis."""
    scores = np.random.default_rng(seed).normal(0, 2, shape)
    raised = np.exp(scores)
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def by_loops(attention: Array, skip: int, cells: int, heads: list[int], layers: list[int]) -> tuple[Array, Array]:
    """(T, cells) maps and (T,) shares of (L, H, T, K), in plain loops."""
    steps = attention.shape[2]
    maps, shares = np.zeros((steps, cells)), np.zeros(steps)
    for step in range(steps):
        for cell in range(cells):
            for layer in layers:
                for head in heads:
                    weight = attention[layer, head, step, skip + cell]
                    maps[step, cell] += weight / (len(layers) * len(heads))
        shares[step] = sum(maps[step])
        for cell in range(cells):
            maps[step, cell] /= shares[step]
    return maps, shares


def shares_of(trace: Trace) -> npt.NDArray[np.float32]:
    assert trace.on_image is not None
    return trace.on_image


def check(
    trace: Trace, attention: Array, skip: int = 0, heads: Any = None, layers: Any = None, atol: float = 1e-6
) -> None:
    cells = trace.grid[0] * trace.grid[1]
    heads, layers = heads or range(attention.shape[1]), layers or range(attention.shape[0])
    maps, shares = by_loops(attention, skip, cells, list(heads), list(layers))
    np.testing.assert_allclose(trace.weights.reshape(len(trace), -1), maps, atol=atol)
    np.testing.assert_allclose(shares_of(trace), shares, atol=max(atol, 1e-5))
    np.testing.assert_allclose(trace.weights.sum(axis=(1, 2)), 1, atol=1e-5)


def test_rows_of_columns_and_maps() -> None:
    attention = rows(3, 16)
    trace = Trace.of(attention, WORDS, image=None)
    check(trace, attention[None, None])
    assert (trace.grid, trace.tokens, trace.frame, trace.image) == ((4, 4), WORDS, None, None)
    assert (trace.layers, trace.heads, trace.words) == (None, None, None)
    maps = attention.reshape(3, 2, 8)
    for given_maps in (maps, maps.tolist(), list(maps), [torch.tensor(one) for one in maps]):
        of_maps = Trace.of(given_maps, list(WORDS), image=None)
        np.testing.assert_allclose(of_maps.weights, maps, atol=1e-7)
    assert Trace.of(attention, WORDS, image=None, grid=(2, 8)).grid == (2, 8)
    assert Trace.of(list(attention), np.array(WORDS).tolist(), image=None, grid=4).grid == (4, 4)


def test_a_cls_token_is_skipped_and_its_share_is_told() -> None:
    attention = rows(3, 17)
    check(Trace.of(attention, WORDS, image=None, skip=1), attention[None, None], skip=1)
    more = rows(3, 35)
    trace = Trace.of(more, WORDS, image=None, grid=(3, 4), skip=(20, 3))
    check(trace, more[None, None], skip=20)
    assert shares_of(trace).max() < 0.9


@pytest.mark.parametrize(
    ("heads", "layers", "numbers"),
    [
        ("mean", "mean", (None, None)),
        (2, "mean", ([2], None)),
        ("2", "last", ([2], [1])),
        ("1-3", 0, ([1, 2, 3], [0])),
        ([0, 3], range(2), ([0, 3], [0, 1])),
        (-1, "all", ([3], None)),
    ],
)
def test_layers_and_heads(heads: Any, layers: Any, numbers: tuple[Any, Any]) -> None:
    attention = rows(2, 4, 3, 13)
    for shown in (attention, attention[:, None], [torch.tensor(layer)[None] for layer in attention], tuple(attention)):
        trace = Trace.of(shown, WORDS, image=None, grid=(3, 4), skip=1, heads=heads, layers=layers)
        check(trace, attention, 1, *numbers)
    assert trace.heads == (heads if isinstance(heads, str) else ",".join(map(str, np.atleast_1d(heads))))
    assert trace.layers is not None


def test_the_largest_of_heads_and_layers() -> None:
    attention = rows(2, 4, 3, 12)
    trace = Trace.of(attention, WORDS, image=None, grid=(3, 4), heads="max", layers="max")
    for step in range(3):
        largest = [max(attention[i, j, step, k] for i in range(2) for j in range(4)) for k in range(12)]
        np.testing.assert_allclose(trace.weights[step].ravel(), np.array(largest) / sum(largest), atol=1e-6)
    np.testing.assert_allclose(shares_of(trace), 1, atol=1e-6)


def test_heads_alone() -> None:
    attention = rows(4, 3, 12)  # (H, T, N), since the second axis is as long as the sentence
    trace = Trace.of(attention, WORDS, image=None, grid=(3, 4))
    check(trace, attention[None])
    assert (trace.layers, trace.heads) == (None, "mean")
    of_one = rows(1, 1, 12)
    check(Trace.of(of_one, ("dog",), image=None, grid=(3, 4)), of_one[None])


def generated(lengths: list[int], queries: list[int], kind: torch.dtype = torch.float32) -> tuple[Any, Array]:
    """What generate() gives: for each step a tuple of layers, (1, H, q, K); and (L, H, T, K) of the last rows."""
    parts = [rows(2, 4, query, length, seed=n) for n, (length, query) in enumerate(zip(lengths, queries, strict=True))]
    nested = tuple(tuple(torch.tensor(layer, dtype=kind)[None] for layer in part) for part in parts)
    last = np.zeros((2, 4, len(parts), max(lengths)))
    for step, part in enumerate(parts):
        last[:, :, step, : lengths[step]] = part[:, :, -1]
    return nested, last


def test_cross_attention_of_generate() -> None:
    nested, last = generated([17] * 3, [1] * 3)
    check(Trace.of(nested, WORDS, image=None, skip=1), last, 1)
    assert Trace.of(nested, WORDS, image=None, skip=1).layers == "all"
    single = tuple(step[0] for step in nested)  # one layer: a tensor for each step
    check(Trace.of(single, WORDS, image=None, skip=1), last[:1], 1)


def test_attention_of_a_decoder_grows_and_begins_with_a_square() -> None:
    nested, last = generated([30, 31, 32], [30, 1, 1])
    trace = Trace.of(nested, WORDS, image=None, grid=(3, 5), skip=4, heads=1)
    check(trace, last, 4, heads=[1])
    with pytest.raises(TraceError, match=r"grows from step to step.*grid"):
        Trace.of(nested, WORDS, image=None, skip=4)
    with pytest.raises(TraceError, match="skip=20 leaves 10, but a grid of 3x5 has 15"):
        Trace.of(nested, WORDS, image=None, skip=20, grid=(3, 5))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_torch_tensors_of_any_float_that_require_gradients(kind: torch.dtype) -> None:
    attention = rows(3, 16)
    tensor = torch.tensor(attention, dtype=kind, requires_grad=True)
    loose = 0.01 if kind == torch.bfloat16 else 1e-3 if kind == torch.float16 else 1e-6
    for shown in (tensor, list(tensor), tensor.reshape(3, 4, 4), tensor * 1):
        check(Trace.of(shown, WORDS, image=None), attention[None, None], atol=loose)
    nested, last = generated([16] * 3, [1] * 3, kind)
    check(Trace.of(nested, WORDS, image=None), last, atol=loose)


@settings(max_examples=50)
@given(st.floats(1e-6, 1e6), st.integers(0, 9))
def test_rows_that_do_not_sum_to_one_are_rescaled(factor: float, seed: int) -> None:
    attention = rows(3, 12, seed=seed)
    trace = Trace.of(attention * factor, WORDS, image=None, grid=(3, 4))
    np.testing.assert_allclose(trace.weights.reshape(3, 12), attention, atol=1e-6)
    np.testing.assert_allclose(shares_of(trace), min(factor, 1), rtol=1e-5)  # what is missing lay elsewhere
    counts = Trace.of(np.array([[1, 0, 3, 0]]), ("x",), image=None)
    np.testing.assert_allclose(counts.weights.ravel(), [0.25, 0, 0.75, 0])


def test_photos_as_paths_arrays_images_and_what_a_trace_keeps_of_them(photo: Path, pixels: np.ndarray) -> None:
    attention = rows(3, 16)
    info = ImageInfo.of(load(photo))
    for image in (photo, str(photo), photo.read_bytes(), pixels, Image.fromarray(pixels), load(photo), info):
        trace = Trace.of(attention, WORDS, image=image)
        assert trace.image is not None
        assert trace.image.size == (40, 60)
        assert trace.frame == Frame.stretch((40, 60), (40, 60), (4, 4))
        assert trace.heatmap(0).shape == (40, 60)
    frame = Frame.crop((40, 60), (32, 32), (4, 4))
    trace = Trace.of(attention, WORDS, image=photo, frame=frame)
    assert (trace.frame, trace.image) == (frame, info)
    wide = Frame.letterbox((40, 60), (32, 64), (2, 8))
    assert Trace.of(attention, WORDS, image=photo, frame=wide).grid == (2, 8)  # the frame says it
    with pytest.raises(ImageError, match="no such file"):
        Trace.of(attention, WORDS, image="nothing.jpg")


def test_pieces_keep_their_words() -> None:
    trace = Trace.of(rows(3, 16), Pieces(("a", " hü", "ndchen"), np.array([0, 1, 1], np.int32)), image=None)
    assert trace.joined().tokens == ("a", "hündchen")


def test_a_trace_of_nothing() -> None:
    assert len(Trace.of(np.zeros((0, 16)), (), image=None)) == 0


def changed(index: Any, value: float) -> Array:
    attention = rows(3, 16)
    attention[index] = value
    return attention


NESTED = generated([17] * 3, [1] * 3)[0]


@pytest.mark.parametrize(
    ("array", "options", "words"),
    [
        (rows(4, 16), {}, "attention of 4 steps, but 3 tokens; give one token a step; the step of the end token"),
        (rows(2, 16), {}, "attention of 2 steps, but 3 tokens; give one token a step$"),
        (rows(3, 4, 9), {"grid": (6, 6)}, "is on a grid of .4, 9., not of .6, 6."),
        (rows(3, 3, 12), {}, "may be maps .T, h, w. or heads .H, T, N.; say which with grid"),
        (rows(2, 2, 2, 3, 12), {}, "is none of"),
        (rows(16), {}, "is none of"),
        (rows(1, 1, 1, 1, 3, 12), {}, "is none of"),
        (np.float64(1), {}, "must be numbers"),
        (rows(3, 18), {}, "18 cells are no square grid.*; CLS and distillation tokens in front.* skip=2"),
        (rows(3, 17), {}, "17 cells are no square grid; give grid=.h, w.; a CLS token in front. then skip=1"),
        (rows(3, 17), {"grid": 4}, "17 columns, of which skip=0 leaves 17, but a grid of 4x4 has 16 cells; a CLS"),
        (rows(3, 15), {"grid": 4}, "15 columns, of which skip=0 leaves 15, but a grid of 4x4 has 16 cells$"),
        (rows(3, 30), {"grid": 4, "skip": 3}, "leaves 27, but a grid of 4x4 has 16 cells; skip=.before, after."),
        (rows(3, 16), {"skip": 16}, "16 columns, so skip=16 leaves none"),
        (rows(3, 16), {"skip": -1}, "skip must be the number of columns"),
        (rows(3, 16), {"skip": True}, "skip must be the number of columns"),
        (rows(3, 16), {"skip": "1"}, "skip must be the number of columns"),
        (rows(3, 16), {"skip": (1, -1)}, "skip must be the number of columns"),
        (rows(3, 16), {"heads": 1}, "heads: there is no 1; there are 1, counted from 0"),
        (rows(2, 4, 3, 16), {"layers": "1-2"}, "layers: there is no 2; there are 2"),
        (rows(2, 4, 3, 16), {"layers": "2-1"}, "layers must be mean, max, a number"),
        (rows(2, 4, 3, 16), {"heads": "best"}, "heads must be mean, max, a number"),
        (rows(2, 4, 3, 16), {"heads": True}, "heads must be mean, max, a number"),
        (rows(2, 4, 3, 16), {"heads": 1.5}, "heads must be mean, max, a number"),
        (rows(2, 4, 3, 16), {"heads": []}, "heads must be mean, max, a number"),
        (rows(2, 4, 3, 16), {"heads": None}, "heads must be mean, max, a number"),
        (rows(3, 16), {"frame": "crop"}, "frame must be an attnviz.Frame"),
        (changed((1, 5), -0.1), {}, 'attention of step 1 ."dog". is negative or no number; give it after the softmax'),
        (changed((2, 0), np.nan), {}, 'attention of step 2 ."runs". is negative or no number'),
        (changed((0, 0), np.inf), {}, "is negative or no number"),
        (changed(1, 0), {}, 'attention of step 1 ."dog". is 0 on all of the picture.s cells'),
        ([["x"] * 16] * 3, {}, "must be numbers"),
        ([[0.5, 0.5], [1.0]], {}, "no array can be made"),
        (rows(3, 16).astype(complex), {}, "must be numbers"),
        (None, {}, "holds nothing: the model's attention kernel keeps no weights"),
        ((), {}, "holds nothing"),
        ((None, None, None), {}, "holds nothing"),
        (((), (), ()), {}, "holds nothing"),
        ({"cross_attentions": NESTED}, {}, "give cross_attentions or attentions"),
        (NESTED[:2], {"skip": 1}, "attention of 2 steps, but 3 tokens"),
        (tuple(tuple(layer.expand(5, 4, 1, 17) for layer in step) for step in NESTED), {"skip": 1}, "batch of 5: give"),
        (tuple(layer.expand(5, -1, 3, -1) for layer in NESTED[0]), {"skip": 1}, "batch of 5"),
        ([rows(16), rows(12), rows(16)], {}, "parts of several shapes"),
        (torch.eye(3).to_sparse(), {}, "no array can be made"),
    ],
)  # fmt: skip
def test_misuse_is_one_line(array: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(TraceError, match=words) as caught:
        Trace.of(array, WORDS, **{"image": None, **options})
    assert "\n" not in str(caught.value)


def test_tokens_grids_and_frames_that_do_not_fit(photo: Path) -> None:
    wrong: list[tuple[Any, dict[str, Any], type[AttnvizError], str]] = [
        ("a dog runs", {}, TraceError, "tuple of strings"),
        (("a", "b", 3), {}, TraceError, "tuple of strings"),
        (None, {}, TraceError, "tuple of strings"),
        (WORDS, {"grid": (0, 16)}, ConfigError, "grid must be positive"),
        (WORDS, {"grid": "4x4"}, ConfigError, "grid must be two whole numbers"),
        (WORDS, {"frame": Frame.stretch((40, 60), (32, 32), (4, 5))}, TraceError, "a grid of 4x5 has 20 cells"),
        (WORDS, {"frame": Frame.stretch((41, 60), (32, 32), (4, 4))}, TraceError, "does not fit an image"),
        (WORDS, {"frame": Frame.stretch((40, 60), (32, 32), (4, 4)), "grid": (2, 8)}, TraceError, "do not fit a frame"),
    ]
    for tokens, options, kind, words in wrong:
        with pytest.raises(kind, match=words):
            Trace.of(rows(3, 16), tokens, **{"image": photo, **options})
