"""Boxes on the grid against counting fine points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from attnviz.data.regions import union_cover

# Edges on a raster of eighths of a cell, so that counting the raster's squares is exact.
EIGHTHS = st.integers(-8, 48).map(lambda n: n / 8)
BOX = st.tuples(EIGHTHS, EIGHTHS, EIGHTHS, EIGHTHS)


@settings(max_examples=60, deadline=None)
@given(st.lists(BOX, max_size=5), st.integers(1, 4), st.integers(1, 5))
def test_equals_counting_on_a_fine_raster(boxes: list[tuple[float, float, float, float]], h: int, w: int) -> None:
    inside = np.zeros((h * 8, w * 8), bool)
    for i in range(h * 8):
        for j in range(w * 8):
            y, x = (i + 0.5) / 8, (j + 0.5) / 8
            inside[i, j] = any(y0 < y < y1 and x0 < x < x1 for y0, x0, y1, x1 in boxes)
    expected = inside.reshape(h, 8, w, 8).mean((1, 3))
    np.testing.assert_allclose(union_cover(np.array(boxes), (h, w)), expected, atol=1e-12)


def test_overlap_counts_once() -> None:
    cover = union_cover(np.array([[0, 0, 1, 0.75], [0, 0.5, 1, 1]]), (1, 2))
    np.testing.assert_allclose(cover, [[1, 0]])


@pytest.mark.parametrize("boxes", [[], [[0, 0, 0, 1]], [[1, 1, 0, 0]], [[5, 5, 6, 6]]])
def test_nothing_covers_nothing(boxes: list[list[float]]) -> None:
    assert not union_cover(np.array(boxes), (2, 2)).any()
