"""Image tokens to one grid, against loops over pixels; half precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tinyhf.models import build

import attnviz
from attnviz.adapters.hf.grids import Layout, Spread, View, union
from attnviz.errors import ModelError
from attnviz.photo.frame import Frame


def tokens(first: int, frame: Frame) -> np.ndarray:
    return first + np.arange(frame.grid[0] * frame.grid[1]).reshape(frame.grid)


def test_tiles_and_overview_become_one_grid_by_area() -> None:
    photo = (24, 36)
    tiles = [
        Frame(photo, (12, 12), (2, 2), (24, 36), (-12 * row, -12 * column)) for row in (0, 1) for column in range(3)
    ]
    views = [View(frame, tokens(4 * number, frame)) for number, frame in enumerate(tiles)]
    overview = Frame.stretch(photo, (12, 12), (2, 2))
    spread = Spread((*views, View(overview, tokens(24, overview), overview=True)))
    assert spread.frame == Frame(photo, (24, 36), (4, 6), (24, 36), (0, 0))
    weights = np.random.default_rng(0).dirichlet(np.ones(28), 3)
    by_pixel = np.zeros((3, *photo))
    for step in range(3):
        for y in range(24):
            for x in range(36):
                tile = 3 * (y // 12) + x // 12
                cell = 2 * (y % 12 // 6) + x % 12 // 6
                by_pixel[step, y, x] += weights[step, 4 * tile + cell] / 36
                by_pixel[step, y, x] += weights[step, 24 + 2 * (y // 12) + x // 18] / (12 * 18)
    expected = by_pixel.reshape(3, 4, 6, 6, 6).sum(axis=(2, 4))
    np.testing.assert_allclose(spread(weights), expected, atol=1e-12)
    np.testing.assert_allclose(spread(weights).sum(axis=(1, 2)), 1)


def test_tiles_whose_cells_end_before_they_do() -> None:
    """SigLIP's 27 cells of 14 pixels in a tile of 384: what lies in the gap is in no cell, and weights stay."""
    tiles = [Frame((384, 768), (378, 378), (27, 27), (384, 768), (0, -384 * column)) for column in (0, 1)]
    frame = union(tiles)
    assert (frame.grid, frame.input) == ((27, 54), (378, 384 + 378))
    weights = np.random.default_rng(0).dirichlet(np.ones(2 * 27 * 27), 2)
    spread = Spread(tuple(View(tile, tokens(729 * number, tile)) for number, tile in enumerate(tiles)))
    found = spread(weights)
    np.testing.assert_allclose(found.sum(axis=(1, 2)), 1, atol=1e-9)
    one = np.zeros((1, 2 * 27 * 27))
    one[0, 729 + 13 * 27 + 26] = 1  # the last column of the second tile
    assert np.unravel_index(spread(one)[0].argmax(), frame.grid) == (13, 53)


def test_tokens_that_the_layout_does_not_provide_for() -> None:
    frame = Frame.stretch((24, 24), (24, 24), (2, 2))
    layout = Layout((View(frame, tokens(0, frame)),), 4, (0, 1))
    assert [layout.lead(number) for number in (4, 5)] == [0, 1]
    with pytest.raises(ModelError, match=r"has 7 image tokens where its preprocessing makes 4 \(2x2 cells\)"):
        layout.lead(7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["llava", "vit_gpt2", "git"])
def test_half_precision_is_rescaled_in_float32(name: str, dtype: torch.dtype, noise: np.ndarray) -> None:
    model, processor = build(name)
    whole = attnviz.explain(attnviz.adapt(model, processor), noise, text="a dog runs")[0]
    half = attnviz.explain(attnviz.adapt(model.to(dtype), processor), noise, text="a dog runs")[0]
    assert model.dtype == dtype
    assert half.weights.dtype == np.float32
    np.testing.assert_allclose(half.weights.sum(axis=(1, 2)), 1, atol=1e-5)
    np.testing.assert_allclose(half.weights, whole.weights, atol=0.02)
    assert half.on_image is not None
    assert (half.on_image <= 1).all()


def test_views_and_heads(opened: Callable[[str], Any], noise: np.ndarray) -> None:
    network = opened("llava_next")
    given: dict[str, Any] = {"text": "a dog runs"}
    every, tiles, overview = (
        attnviz.explain(network, noise, **given, view=view)[0] for view in ("all", "tiles", "overview")
    )
    assert every.grid == tiles.grid != overview.grid
    assert every.on_image is not None
    assert tiles.on_image is not None
    assert overview.on_image is not None
    np.testing.assert_allclose(every.on_image, tiles.on_image + overview.on_image, atol=1e-6)
    heads = [attnviz.explain(network, noise, **given, heads=str(head), layers="1")[0] for head in range(4)]
    mean = attnviz.explain(network, noise, **given, layers="1")[0]
    shares = [one.weights * one.on_image[:, None, None] for one in heads if one.on_image is not None]
    assert mean.on_image is not None
    np.testing.assert_allclose(np.mean(shares, axis=0), mean.weights * mean.on_image[:, None, None], atol=1e-6)
