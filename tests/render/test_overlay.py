"""Colour maps, tables and overlays, beside plain loops and matplotlib."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from cielab import difference, lab
from hypothesis import given, settings, strategies as st

from attnviz.errors import ConfigError
from attnviz.render import overlay, palette
from attnviz.render.heatmap import DEFAULT
from attnviz.render.overlay import Overlay, dimmed, heat_table, spotlight_table


@pytest.mark.parametrize("name", ["plasma", "viridis", "magma_r", "tab10", "gray"])
def test_colour_maps_are_those_of_matplotlib(name: str) -> None:
    from matplotlib import colormaps

    expected = np.rint(colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255)
    np.testing.assert_array_equal(palette.colours(name), expected)


def test_the_default_colour_map_runs_through_its_anchors_and_grows_lighter() -> None:
    found = lab(palette.colours())
    for number, (light, chroma, hue) in enumerate(palette._DUSK):
        at = round(255 * number / (len(palette._DUSK) - 1))
        expected = light, chroma * np.cos(np.radians(hue)), chroma * np.sin(np.radians(hue))
        np.testing.assert_allclose(found[at], expected, atol=3.5)  # what an entry more or less makes
    assert (np.diff(found[::8, 0]) > 0).all()


GREYS = np.repeat(np.arange(0, 256, 5, dtype=np.uint8)[:, None], 3, axis=1)
PHOTOS = np.random.default_rng(0).integers(0, 256, (400, 3), np.uint8)


def painted(photo: np.ndarray, densities: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(D, N, 3): (N, 3) colours of a photo, with the heat of each density over them."""
    levels = DEFAULT.levels(densities)
    out: np.ndarray = table[np.arange(3), levels[:, None, None], photo]
    return out


def tables() -> dict[str, np.ndarray]:
    more, less = palette.arms()
    strength = overlay.OPACITY["heat"]
    heat = heat_table(palette.DEFAULT, strength)
    return {"heat": heat, "more": overlay.ramp_table(more, strength), "less": overlay.ramp_table(less, strength)}


@pytest.mark.parametrize(("name", "slack"), [("heat", 0.8), ("more", 2.1), ("less", 0.8)])
def test_more_density_is_never_less_colour_on_any_grey(name: str, slack: float) -> None:
    """From black over grey to white the distance from the photo rises; half a unit is the rounding of bytes."""
    shown = painted(GREYS, 2.0 ** np.linspace(0, 6, 200), tables()[name])
    distance = difference(shown, GREYS)
    assert (np.maximum.accumulate(distance) - distance).max() < slack


def test_a_doubling_is_seen_on_any_colour() -> None:
    shown = painted(np.concatenate([GREYS, PHOTOS]), 2.0 ** np.arange(7), tables()["heat"])
    steps = difference(shown[1:], shown[:-1])
    assert steps[:, : len(GREYS)].min() > 15
    assert np.quantile(steps, 0.02) > 10


def test_twice_uniform_is_seen_on_black_white_and_grey() -> None:
    shown = painted(GREYS, 2.0 ** np.linspace(1, 8, 50), tables()["heat"])
    assert difference(shown, GREYS).min() > 20


@pytest.mark.parametrize("style", ["heat", "spotlight"])
def test_a_trace_that_is_even_but_for_noise_is_painted_evenly(style: str) -> None:
    noise = 1 + np.random.default_rng(0).normal(0, 1e-6, (40, 60)).astype(np.float32)
    for grey in (0, 128, 255):
        photo = np.full((40, 60, 3), grey, np.uint8)
        table = overlay.table(style, palette.DEFAULT, overlay.OPACITY[style])
        assert Overlay(photo, table).paint(noise, DEFAULT)[0].std(axis=(0, 1)).max() <= 1


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
