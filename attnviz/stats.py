"""Rank correlation, areas and intervals: the few numbers that evidence and evaluation are made of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DRAWS, SHARE = 2000, 0.95
"""Of a bootstrap: how many samples are drawn, and how many of them an interval holds."""

BLOCK = 2**22
"""Rows drawn at a time, which bounds the memory that a bootstrap takes."""


def ranks(values: npt.ArrayLike) -> Floats:
    """Ranks from 1 along the last axis of (..., n); what is equal shares the mean of its ranks."""
    array = np.asarray(values, np.float64)
    flat = array.reshape(-1, array.shape[-1])
    found = np.empty_like(flat)
    for row, out in zip(flat, found, strict=True):
        _, place, count = np.unique(row, return_inverse=True, return_counts=True)
        last = np.cumsum(count)
        out[:] = (last - (count - 1) / 2)[place]
    return found.reshape(array.shape)


def pearson(a: npt.ArrayLike, b: npt.ArrayLike) -> float | None:
    """Pearson's correlation of two arrays of one size; None where one of them is constant."""
    x, y = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x @ x) * (y @ y)))
    # Rounding leaves a constant array with differences of some 1e-16 of its values.
    if x.size < 2 or size <= 1e-24 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.clip((x @ y) / size, -1, 1))


def spearman(a: npt.ArrayLike, b: npt.ArrayLike) -> float | None:
    """Spearman's rank correlation (1904) of two arrays of one size; None where one of them is constant."""
    return pearson(ranks(np.asarray(a).ravel()), ranks(np.asarray(b).ravel()))


def area(values: npt.ArrayLike) -> float:
    """The area under a curve over [0, 1] with evenly spaced points (..., n): the trapezoid rule. A mean height."""
    heights = np.asarray(values, np.float64)
    return float(((heights[1:] + heights[:-1]) / 2).mean())


def bootstrap(values: npt.ArrayLike, seed: int = 0, draws: int = DRAWS, share: float = SHARE) -> tuple[float, float]:
    """The percentile interval of the mean of `values` (n,) (Efron 1979): `draws` samples with replacement.

    Raises:
        ValueError: there are no values.
    """
    array = np.asarray(values, np.float64).reshape(-1, 1)
    return interval(resampled(array, seed, draws)[:, 0] / len(array), share)


def resampled(rows: npt.ArrayLike, seed: int = 0, draws: int = DRAWS) -> Floats:
    """(draws, k): the sums of the k columns of (n, k) rows over n rows that are drawn with replacement, `draws` times.

    Rows are what was sampled, such as photos: what belongs to one of them is drawn together. The same seed and n draw
    the same rows, so that several calls can be compared draw by draw.

    Raises:
        ValueError: there are no rows.
    """
    array = np.asarray(rows, np.float64)
    count = len(array)
    if not count:
        raise ValueError("there is nothing to draw from")
    rng = np.random.default_rng(seed)
    block = max(1, BLOCK // count)
    sums = []
    for start in range(0, draws, block):
        size = min(block, draws - start)
        drawn = rng.integers(0, count, (size, count)) + np.arange(size)[:, None] * count
        # How often each row was drawn, so that one product sums all columns.
        sums.append(np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count) @ array)
    return np.concatenate(sums)


def interval(values: npt.ArrayLike, share: float = SHARE) -> tuple[float, float]:
    """The middle `share` of values (n,): the quantiles that leave as many out below as above."""
    low, high = np.quantile(np.asarray(values, np.float64), [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)
