"""Colour maps, tables and overlays, beside plain loops and matplotlib."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from attnviz.errors import ConfigError
from attnviz.render import overlay, palette
from attnviz.render.overlay import Overlay, dimmed, heat_table, spotlight_table


@pytest.mark.parametrize("name", [palette.DEFAULT, "viridis", "magma_r", "tab10", "gray"])
def test_colour_maps_are_those_of_matplotlib(name: str) -> None:
    from matplotlib import colormaps

    expected = np.rint(colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255)
    np.testing.assert_array_equal(palette.colours(name), expected)


def test_the_default_colour_map_grows_steadily_lighter() -> None:
    """Perceptually uniform: lightness (CIE L*) rises from end to end, in about equal steps."""
    rgb = palette.colours() / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lightness = 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16
    steps = np.diff(lightness[::8])
    assert steps.min() > 0
    assert steps.max() < 3 * np.median(steps)


def test_an_unknown_colour_map_names_its_neighbours() -> None:
    with pytest.raises(ConfigError, match="viridis"):
        palette.colours("virids")
    with pytest.raises(ConfigError, match="no colour map"):
        palette.colours("")


def test_drawing_imports_neither_matplotlib_nor_torch() -> None:
    code = (
        "import sys, attnviz.render; attnviz.render.DrawOptions(); print(*{'matplotlib', 'torch'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == ""


def blend_by_loops(photo: np.ndarray, levels: np.ndarray, colours: np.ndarray, opacity: float) -> np.ndarray:
    """Alpha blending of one pixel after another, in Python's own floats."""
    out = photo.copy()
    for y in range(photo.shape[0]):
        for x in range(photo.shape[1]):
            heat = int(levels[y, x]) / 255
            alpha = opacity * heat**overlay.RISE * min(1.0, heat / overlay.ONSET)
            for channel in range(3):
                value = (1 - alpha) * int(photo[y, x, channel]) + alpha * int(colours[levels[y, x], channel])
                out[y, x, channel] = round(value)
    return out


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), opacity=st.sampled_from([0.0, 0.3, 0.8, 1.0]), first=st.integers(0, 6))
def test_painting_is_alpha_blending(seed: int, opacity: float, first: int) -> None:
    random = np.random.default_rng(seed)
    photo = random.integers(0, 256, (7, 9, 3), np.uint8)
    levels = random.integers(0, 256, (7, 9), np.uint8)
    levels[:first] = 0
    painted = Overlay(photo, heat_table(palette.DEFAULT, opacity)).paint_levels(levels)
    expected = blend_by_loops(photo, levels, palette.colours(), opacity)
    assert np.abs(painted.astype(int) - expected).max() <= 1  # where a half is rounded the other way
    assert (painted[:first] == photo[:first]).all()


def test_below_the_threshold_the_photo_is_untouched() -> None:
    table = heat_table("viridis", 1.0)
    np.testing.assert_array_equal(table[:, 0], np.tile(np.arange(256), (3, 1)))


def test_opacity_follows_heat() -> None:
    """On black and on white photos, more heat never shows more of the photo."""
    table = heat_table("gray", 0.9).astype(int)
    share_of_photo = table[0, :, 255] - table[0, :, 0]
    assert (np.diff(share_of_photo) <= 1).all()
    assert share_of_photo[0] == 255
    assert share_of_photo[255] == pytest.approx(0.1 * 255, abs=1)


def test_a_spotlight_shines_where_the_weight_is() -> None:
    table = spotlight_table(0.8)
    np.testing.assert_array_equal(table[:, 255], np.tile(np.arange(256), (3, 1)))
    assert table[0, 0, 255] == round(0.2 * 255)
    assert (np.diff(table[0, :, 200].astype(int)) >= 0).all()


def test_the_unseen_is_dimmed_and_keeps_its_hue() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    seen = np.zeros((6, 8), bool)
    seen[:, 2:6] = True
    out = dimmed(photo, seen)
    np.testing.assert_array_equal(out[seen], photo[seen])
    np.testing.assert_array_equal(out[~seen], np.rint(photo[~seen] * overlay.UNSEEN))


def test_nothing_to_paint() -> None:
    photo = np.full((3, 4, 3), 77, np.uint8)
    for levels in (np.zeros((3, 4), np.uint8),):
        np.testing.assert_array_equal(Overlay(photo, heat_table(palette.DEFAULT, 1)).paint_levels(levels), photo)
