"""Scales and levels: what a weight is worth in colour."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from attnviz.photo.frame import Frame
from attnviz.render.compare import kind_of, names_of
from attnviz.render.heatmap import (
    BOTTOM,
    LEAST_TOP,
    LINEAR_TOP,
    SCALES,
    THRESHOLD,
    TOP,
    Scale,
    common_scales,
    quantity,
    scales,
)
from attnviz.trace import Trace

FRAME = Frame.stretch((70, 90), (56, 56), (7, 7))


def density(*peaks: float) -> np.ndarray:
    """(T, 7, 7): steps with one cell at each of the peaks and the rest spread evenly; each sums to 49."""
    steps = np.empty((len(peaks), 7, 7), np.float32)
    for step, peak in zip(steps, peaks, strict=True):
        step[:] = (49 - peak) / 48
        step[3, 2] = peak
    return steps


def test_shared_runs_to_the_largest_density_of_the_drawn_steps() -> None:
    maps = density(6, 9, 20)
    assert [scale.top for scale in scales("shared", maps, [0, 1], FRAME)] == [9, 9]
    assert [scale.top for scale in scales("shared", maps, [0, 1, 2], FRAME)] == [20, 20, 20]


def test_shared_never_ends_below_four_times_uniform() -> None:
    assert scales("shared", density(1, 3), [0, 1], FRAME)[0].top == LEAST_TOP == 4


@pytest.mark.parametrize(("name", "top"), [("log", TOP), ("linear", LINEAR_TOP)])
def test_fixed_scales_end_where_they_do_and_say_where_they_clip(name: str, top: float) -> None:
    tame, wild = (scales(name, density(top + more), [0], FRAME)[0] for more in (-1, 1))
    assert tame == Scale(name, top, clipped=False)
    assert wild == Scale(name, top, clipped=True)
    assert wild.levels(np.array([top, top + 1, 500])).tolist() == [255, 255, 255]


def test_each_doubling_is_the_same_step() -> None:
    scale = Scale("log", TOP)
    assert (BOTTOM, TOP) == (1, 64)
    levels = scale.levels(2.0 ** np.arange(7)).astype(int)
    np.testing.assert_allclose(np.diff(levels), 255 / 6, atol=1)
    assert levels[0] == 1
    assert scale.levels(np.array([0, 0.5, 0.999])).tolist() == [0, 0, 0]


@given(name=st.sampled_from(list(SCALES)), top=st.floats(2, 1e4), position=st.floats(0, 1))
def test_a_bar_leads_there_and_back(name: str, top: float, position: float) -> None:
    scale = Scale(name, top)
    density = float(scale.at(np.array(position)))
    assert scale.position(density) == pytest.approx(position, abs=1e-9)
    # The bar's own position, less what it leaves unpainted, is the level.
    onset = 0 if scale.doubling else THRESHOLD
    expected = 255 * (position - onset) / (1 - onset) + 1
    assert abs(int(scale.levels(np.array(density))) - np.clip(expected, 0, 255)) <= 1.01


def test_step_gives_each_step_its_own_range() -> None:
    assert [scale.top for scale in scales("step", density(2, 9), [0, 1], FRAME)] == [2, 9]


def test_padding_is_not_drawn_and_does_not_count() -> None:
    frame = Frame.letterbox((20, 80), (56, 56), (7, 7))
    maps = density(5)
    maps[0, 0, 0] = 30  # on the padding above the photo
    assert frame.coverage()[0, 0] == 0
    assert scales("shared", maps, [0], frame)[0].top == 5


def test_a_step_with_all_its_weight_on_padding_paints_nothing() -> None:
    frame = Frame.letterbox((20, 80), (56, 56), (7, 7))
    maps = np.zeros((1, 7, 7), np.float32)
    maps[0, 0, 0] = 49
    for name in SCALES:
        scale = scales(name, maps, [0], frame)[0]
        assert math.isfinite(scale.top)
        assert scale.top > 0
        assert not scale.levels(frame.upsample(maps[0])).any()


@settings(deadline=None)
@given(top=st.floats(0.01, 1e4), share=st.floats(0, 1.5))
def test_levels_follow_the_scale(top: float, share: float) -> None:
    level = int(Scale("shared", top).levels(np.array([share * top]))[0])
    if share < THRESHOLD * (1 - 1e-4):
        assert level == 0
    elif share > THRESHOLD * (1 + 1e-4):
        assert level >= 1
        reference = math.floor((min(share, 1) - THRESHOLD) / (1 - THRESHOLD) * 255 + 1)
        assert abs(level - min(reference, 255)) <= 1
    if share >= 1:
        assert level == 255


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 100, width=32), min_size=2, max_size=20), st.floats(1.5, 50), st.sampled_from(list(SCALES))
)
def test_levels_rise_with_density(values: list[float], top: float, name: str) -> None:
    levels = Scale(name, top).levels(np.sort(np.array(values, np.float32)))
    assert (np.diff(levels.astype(int)) >= 0).all()


def test_what_was_not_seen_has_level_zero() -> None:
    for name in SCALES:
        assert Scale(name, 4).levels(np.array([np.nan, 4.0])).tolist() == [0, 255]


@pytest.mark.parametrize("name", ["log", "linear", "shared"])
def test_a_flat_trace_with_tiny_noise_looks_flat(name: str) -> None:
    noise = np.random.default_rng(0).normal(0, 1e-9, (3, 7, 7))
    weights = (1 / 49 + noise) / (1 / 49 + noise).sum(axis=(1, 2), keepdims=True)
    maps = (weights * 49).astype(np.float32)
    for step, scale in enumerate(scales(name, maps, [0, 1, 2], FRAME)):
        levels = scale.levels(FRAME.upsample(maps[step]))
        assert int(levels.max()) - int(levels.min()) <= 1
        assert levels.max() < 70  # of 255: "as if looking everywhere alike" is low on the scale


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(112, 400), st.integers(112, 400)),
    grid=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_heatmap_holds_the_weight(size: tuple[int, int], grid: tuple[int, int], seed: int) -> None:
    """Stretch frames, cells of at least 16 pixels: the mean density over the photo's pixels is 1, as over the cells."""
    weights = np.random.default_rng(seed).dirichlet(np.full(grid[0] * grid[1], 0.3)).reshape(grid).astype(np.float32)
    heatmap = Frame.stretch(size, (224, 224), grid).upsample(weights * weights.size)
    assert float(heatmap.mean(dtype=np.float64)) == pytest.approx(1, abs=1e-3)


def test_a_bar_says_what_the_maps_are_of() -> None:
    from attnviz.render import colorbar

    weights, frame = np.full((1, 2, 2), 0.25, np.float32), Frame.stretch((4, 4), (4, 4), (2, 2))
    for options, name in (
        ({}, "attention"),
        ({"relative": True}, "relative attention"),
        ({"map": "gradient"}, "gradient × attention"),
        ({"map": "gradient", "relative": True}, "relative gradient × attention"),
    ):
        trace = Trace(weights, ("a",), settings=options)
        ((scale,),) = common_scales("log", [trace], [frame], [0])
        longest, *shorter = colorbar.titles(scale)
        assert quantity([trace]) == name
        assert longest == f"{name}, times uniform · the same scale in every picture"
        assert name == "attention" or all(name.split(" ")[0] in title for title in shorter)
    pair = [Trace(weights, ("a",), model="m"), Trace(weights, ("a",), model="m", settings={"map": "gradient"})]
    assert quantity(pair) == "attention or gradient × attention"
    assert (names_of(pair), kind_of(pair)) == (["attention", "gradient"], "map")
