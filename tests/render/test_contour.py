"""Contours enclose what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from attnviz.photo.frame import Frame
from attnviz.photo.image import Photo
from attnviz.render import DrawOptions
from attnviz.render.contour import HALO, LINES, Contours, edge_distance, enclosing
from attnviz.render.heatmap import Scale
from attnviz.render.pictures import Pictures
from attnviz.render.writers.gif import SAMPLES
from attnviz.trace import Trace

SHARED = Scale("shared", 20)


def bump(size: tuple[int, int] = (120, 160)) -> np.ndarray:
    """(H, W): a density with one hill, off the middle."""
    y, x = np.mgrid[: size[0], : size[1]]
    hill = np.exp(-((y - 0.4 * size[0]) ** 2 + (x - 0.6 * size[1]) ** 2) / (2 * (0.12 * size[0]) ** 2))
    density: np.ndarray = (hill / hill.mean()).astype(np.float32)
    return density


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.5, 0.9]))
def test_the_level_encloses_the_share(seed: int, share: float) -> None:
    grid = np.random.default_rng(seed).dirichlet(np.full(49, 0.4)).reshape(7, 7) * 49
    values = Frame.stretch((90, 110), (56, 56), (7, 7)).upsample(grid)
    level = enclosing(values, share)
    total = values.sum(dtype=np.float64)
    assert values[values >= level].sum() >= share * total
    # A little higher, and it is less: the smallest region that will do, to the histogram's resolution.
    step = float(values.max()) / 2048
    assert values[values >= level + step].sum() < share * total


def test_lines_run_where_the_level_is() -> None:
    values = bump()
    photo = np.full((*values.shape, 3), 128, np.uint8)
    out = Contours(photo, np.ones(values.shape, bool), 1.0, cells=False).paint(values, SHARED)[0]
    changed = (out != photo).any(axis=2)
    assert changed.any()
    edges = np.zeros(values.shape, bool)
    for line in LINES:
        inside = values >= enclosing(values, line.share)
        edges[:-1] |= inside[1:] != inside[:-1]
        edges[:, :-1] |= inside[:, 1:] != inside[:, :-1]
    ys, xs = np.nonzero(edges)
    for y, x in np.argwhere(changed):
        assert np.hypot(ys - y, xs - x).min() < 4
    # And each edge is under a line, of its colour or of the halo.
    assert changed[edges].mean() > 0.99
    for line in LINES:
        assert (np.abs(out.astype(int) - line.colour).max(axis=2) <= 2).sum() > 30
    assert (np.abs(out.astype(int) - HALO).max(axis=2) <= 40).any()


@pytest.mark.parametrize("cells", [False, True])
def test_noise_gets_no_lines(cells: bool) -> None:
    values = (1 + np.random.default_rng(0).normal(0, 1e-9, (40, 50))).astype(np.float32)
    photo = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
    for scale in (Scale("shared", 4), Scale("linear", 10), Scale("step", 1)):
        out = Contours(photo, np.ones((40, 50), bool), 1.0, cells).paint(values, scale)[0]
        np.testing.assert_array_equal(out, photo)


def test_no_line_leaves_what_was_seen() -> None:
    frame = Frame.crop((60, 120), (56, 56), (7, 7))
    grid = np.zeros((7, 7), np.float32)
    grid[3, 0] = 49
    photo = np.full((60, 120, 3), 90, np.uint8)
    seen = frame.seen()
    assert not seen.all()
    out = Contours(photo, seen, 1.0, cells=False).paint(frame.upsample(grid), SHARED)[0]
    assert (out != photo).any()
    np.testing.assert_array_equal(out[~seen], photo[~seen])


def distance_by_loops(inside: np.ndarray) -> np.ndarray:
    """Along rows and columns, from each pixel to the nearest edge between inside and outside."""
    out = np.full(inside.shape, np.inf)
    height, width = inside.shape
    for y in range(height):
        for x in range(width):
            for dy, dx in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                for step in range(max(height, width)):
                    here, there = (y + step * dy, x + step * dx), (y + (step + 1) * dy, x + (step + 1) * dx)
                    if not (0 <= there[0] < height and 0 <= there[1] < width):
                        break
                    if inside[here] != inside[there]:
                        out[y, x] = min(out[y, x], step + 0.5)
                        break
    return out


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_edge_distance(seed: int, size: tuple[int, int]) -> None:
    inside = np.random.default_rng(seed).random(size) < 0.3
    found, expected = edge_distance(inside, 3), distance_by_loops(inside)
    near = expected <= 3.5
    np.testing.assert_array_equal(found[near], expected[near])
    assert (found[~near] > 3.5).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1)])
@pytest.mark.parametrize("cells", [False, True])
def test_pictures_of_one_row_or_pixel(size: tuple[int, int], cells: bool) -> None:
    values = np.linspace(0, 10, size[0] * size[1], dtype=np.float32).reshape(size)
    out = Contours(np.zeros((*size, 3), np.uint8), np.ones(size, bool), 1.0, cells).paint(values, SHARED)[0]
    assert out.shape == (*size, 3)


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(60, 640), st.integers(60, 640)),
    steps=st.integers(1, 10),
    count=st.sampled_from([500, 3000, SAMPLES]),
    cells=st.booleans(),
)
@example(size=(375, 500), steps=8, count=SAMPLES, cells=False)
def test_samples_of_a_cropped_photo(size: tuple[int, int], steps: int, count: int, cells: bool) -> None:
    frame = Frame.crop(size, (224, 224), (14, 14), resize=256)
    weights = np.random.default_rng(0).dirichlet(np.full(196, 0.2), steps).reshape(steps, 14, 14).astype(np.float32)
    photo = Photo(np.full((*size, 3), 90, np.uint8), "x", None)
    options = DrawOptions(style="contour", cells=cells)
    found = Pictures(Trace(weights, ("a",) * steps, frame=frame), photo, options).samples(count)
    # The photo, with the part that the model did not see, and then the lines.
    assert found.dtype == np.uint8
    assert len(np.unique(found, axis=0)) > 2
