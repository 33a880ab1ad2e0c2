"""From the cells of one axis to the pixels of it, as a matrix."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt


def interpolation(
    edges: npt.NDArray[np.floating], count: int, shown: tuple[int, int], kind: Literal["area", "nearest", "linear"]
) -> npt.NDArray[np.float32]:
    """(P, n) matrix from n cells to P pixels; each row sums to 1, but for pixels beside all cells with "area".

    Args:
        edges: (P + 1,), where the pixels begin and end, in cells: cell i covers [i, i + 1].
        count: the number n of cells.
        shown: the first and last cell that take part.
        kind: the mean of the cells that a pixel covers, the cell that its centre lies in, or between cells' centres.
    """
    first, last = shown
    size = len(edges) - 1
    middles = (edges[:-1] + edges[1:]) / 2
    pixels = np.arange(size)
    matrix = np.zeros((size, count))
    if kind == "area":
        edges = np.clip(edges, first, last + 1)[:, None]
        ticks = np.arange(count)
        matrix = np.clip(np.minimum(edges[1:], ticks + 1) - np.maximum(edges[:-1], ticks), 0, None)
        # A pixel beside the input covers no cell; it is not drawn.
        matrix /= np.maximum(matrix.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    elif kind == "nearest":
        matrix[pixels, np.clip(np.floor(middles), first, last).astype(np.intp)] = 1
    else:
        position = np.clip(middles - 0.5, first, last)
        lower = np.floor(position).astype(np.intp)
        matrix[pixels, lower] = 1 - (position - lower)
        matrix[pixels, np.minimum(lower + 1, last)] += position - lower
    return matrix.astype(np.float32)
