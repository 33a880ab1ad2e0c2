"""The overview and boards: what stands where, for few words and many, one trace and several."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from attnviz.photo.frame import Frame
from attnviz.photo.image import Photo
from attnviz.render import WRITERS, DrawOptions
from attnviz.render.board import columns_for
from attnviz.render.overview import LEAST_SLOT, MOST_PICTURES, WIDTH, Overview
from attnviz.render.pictures import Pictures
from attnviz.render.strip import BACKGROUND, marked
from attnviz.trace import Trace


def made_up(count: int, size: tuple[int, int] = (300, 400), seed: int = 0, **fields: Any) -> Trace:
    weights = np.random.default_rng(seed).dirichlet(np.full(49, 0.2), count).astype(np.float32)
    frame = Frame.stretch(size, (56, 56), (7, 7))
    return Trace(weights.reshape(-1, 7, 7), tuple(f"word{i}" for i in range(count)), frame=frame, **fields)


def pictures(count: int, size: tuple[int, int] = (300, 400), modes: int = 1, **options: Any) -> Pictures:
    photo = Photo(np.full((*size, 3), 200, np.uint8), "x", None)
    traces = [made_up(count, size, seed, mode=f"mode{seed}") for seed in range(modes)]
    return Pictures(traces[0], photo, DrawOptions(**options), traces[1:])


def sheet(shown: Pictures) -> np.ndarray:
    (job,) = WRITERS["overview"].jobs(shown)
    out = io.BytesIO()
    job.write(out)
    return np.asarray(Image.open(out))


def tiles(pixels: np.ndarray, least: int) -> int:
    """How many pictures stand in a sheet: blocks of bright or coloured pixels, each of some size."""
    bright = (pixels.astype(int).sum(axis=2) > 3 * 140) | (np.ptp(pixels.astype(int), axis=2) > 40)
    rows = np.flatnonzero(bright.mean(axis=1) > 0.08)
    found = 0
    for block in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
        if len(block) >= least:
            columns = np.flatnonzero(bright[block].mean(axis=0) > 0.5)
            parts = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
            found += sum(len(part) >= least for part in parts)
    return found


@pytest.mark.parametrize("count", [1, 4, 11, 40])
def test_the_photo_and_every_word_are_in_the_sheet(count: int) -> None:
    pixels = sheet(pictures(count))
    assert tiles(pixels, 60) == count + 1
    assert pixels.shape[1] <= WIDTH
    assert 0.4 < pixels.shape[1] / pixels.shape[0] < 4


def test_compared_traces_have_a_row_each() -> None:
    assert tiles(sheet(pictures(5, modes=3)), 60) == 1 + 5 * 3


@settings(max_examples=6)
@given(
    count=st.sampled_from([1, 2, 7, 40, 400]),
    size=st.sampled_from([(1, 1), (1, 500), (500, 1), (64, 48), (1000, 700), (400, 2400)]),
    modes=st.integers(1, 3),
)
def test_any_number_of_words_on_any_photo(count: int, size: tuple[int, int], modes: int) -> None:
    shown = pictures(count, size, modes)
    overview = Overview(shown)
    grid = overview._grid
    assert grid.tile[0] <= max(1, size[0])
    assert grid.tile[1] <= max(1, size[1])  # never enlarged
    assert grid.slot >= min(LEAST_SLOT, WIDTH)
    pixels = overview.draw()
    assert pixels.shape[1] <= WIDTH
    assert pixels.shape[0] * pixels.shape[1] < 40e6
    assert overview._count * modes <= MOST_PICTURES or overview._count == 1


def test_a_sheet_is_painted_as_the_pictures_are() -> None:
    """Of a photo smaller than its column: the tile is the picture itself."""
    shown = pictures(3, (120, 140))
    pixels = sheet(shown)
    for index in range(3):
        wanted = shown.overlay(index)
        height, width = wanted.shape[:2]
        places = [
            (y, x)
            for y in range(pixels.shape[0] - height)
            for x in range(pixels.shape[1] - width)
            if (pixels[y, x] == wanted[0, 0]).all() and (pixels[y : y + height, x : x + width] == wanted).all()
        ]
        assert places, index


@pytest.mark.parametrize("style", ["heat", "spotlight", "contour"])
@pytest.mark.parametrize("scale", ["log", "step"])
def test_every_style_and_scale(style: str, scale: str) -> None:
    pixels = sheet(pictures(3, (60, 80), modes=2, style=style, scale=scale))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_unsure_words_are_marked() -> None:
    logprobs = np.log([0.5, 0.09, 0.11]).astype(np.float32)
    assert marked(("a", "dog", "runs"), logprobs) == ["a", "dog?", "runs"]
    assert marked(("a", "dog"), None) == ["a", "dog"]
    assert marked(("a",), np.array([np.nan], np.float32)) == ["a"]
    plain, doubtful = (
        Overview(Pictures(made_up(3, logprobs=p), Photo(np.zeros((300, 400, 3), np.uint8), "x", None), DrawOptions()))
        for p in (None, logprobs)
    )
    one, other = plain.draw(), doubtful.draw()
    assert one.shape == other.shape
    assert (one != other).any()


@given(count=st.integers(1, 60), height=st.integers(20, 2000), width=st.integers(20, 2000))
def test_columns_are_at_most_as_many_as_panels(count: int, height: int, width: int) -> None:
    assert 1 <= columns_for(count, (height, width)) <= count
    assert columns_for(count, (height, width), 3) <= 3


def test_an_animation_shows_compared_traces_side_by_side() -> None:
    shown = pictures(3, modes=2, size=(300, 400), scale="shared")
    film = shown.film
    assert len(film.places) == 2
    frame = film.draw(1)
    assert frame.shape == film.empty.shape
    assert max(frame.shape[:2]) <= 1280
    for number, place in enumerate(film.places):
        panel = shown.panel(number, max(frame[place].shape))
        np.testing.assert_array_equal(frame[place], panel.paint(1)[0])
    covered = np.zeros(frame.shape[:2], bool)
    for place in film.places:
        assert not covered[place].any()
        covered[place] = True
    assert (film.empty[~covered] == BACKGROUND).all(axis=1).mean() > 0.5
    assert {scale.top for scales in shown.all_scales for scale in scales} == {shown.scales[0].top}
