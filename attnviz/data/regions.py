"""Boxes on the grid: how much of each cell a union of boxes covers, exactly. Needs numpy alone."""

from __future__ import annotations

import numpy as np


def union_cover(boxes: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """The share of each cell's area that lies inside the union of `boxes`.

    Exact, not sampled: the boxes' edges cut the grid into rectangles that each lie wholly inside or outside.

    Args:
        boxes: (n, 4) of (y0, x0, y1, x1) in cells, so that cell (i, j) is [i, i+1) x [j, j+1). Parts beyond the grid
            are ignored; a box with y1 <= y0 or x1 <= x0 covers nothing.
        grid: (h, w).

    Returns:
        (h, w) float64 in [0, 1].
    """
    h, w = grid
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    boxes = np.clip(boxes, 0, [h, w, h, w])
    ys = np.unique(np.concatenate([np.arange(h + 1), boxes[:, 0], boxes[:, 2]]))
    xs = np.unique(np.concatenate([np.arange(w + 1), boxes[:, 1], boxes[:, 3]]))
    y, x = (ys[:-1] + ys[1:]) / 2, (xs[:-1] + xs[1:]) / 2  # centres of the rectangles
    in_y = (boxes[:, :1] < y) & (y < boxes[:, 2:3])  # (n, rows)
    in_x = (boxes[:, 1:2] < x) & (x < boxes[:, 3:4])  # (n, columns)
    inside = (in_y.T.astype(float) @ in_x.astype(float)) > 0
    area = np.where(inside, np.outer(np.diff(ys), np.diff(xs)), 0)
    rows = np.add.reduceat(area, np.searchsorted(ys, np.arange(h)), axis=0)
    return np.clip(np.add.reduceat(rows, np.searchsorted(xs, np.arange(w)), axis=1), 0, 1)
