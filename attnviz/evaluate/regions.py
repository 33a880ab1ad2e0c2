"""From a map to a region and a box: what is left when the map is cut off at a share of its peak, and how well it fits.

As in weakly supervised object localisation: the map is stretched to [0, 1] by its smallest and largest value, and cut
off at a share. `box accuracy` is MaxBoxAcc of Choe et al. 2020 (arXiv:2001.07437): the share of phrases where the box
around the largest connected part overlaps a box of the phrase with an intersection over union of 0.5 or more, at the
share where that is most often so. `iou` is its relative without boxes and without a step: the intersection over union
of all that is left with the union of the phrase's boxes, the mean at the share where that mean is largest. Either share
is chosen on the very split that is measured, one for all phrases, so the figures are a little better than those at a
share that was chosen elsewhere; Choe et al. choose theirs on the split they measure, too.

Differences: theirs has 1,000 evenly spaced shares on a map of the photo's pixels, here there are 25 on the cells of the
grid, closer together near 0; there, a photo has one class, here, a phrase has its boxes.
"""

from __future__ import annotations

import numpy as np

from attnviz.trace.regions import connected

SHARES = np.concatenate([[0], 2.0 ** (-np.arange(24, 0, -1) / 2)])
"""Where maps are cut off: cells of at least so much, once the map goes from 0 to 1. All of it, and from 0.0002 to 0.71
in steps of a factor of the square root of 2: attention falls off by orders of magnitude around its peak."""

OVERLAP = 0.5
"""The least intersection over union of a right box."""


def stretched(weights: np.ndarray) -> np.ndarray:
    """(n, h, w) maps from 0 at the smallest weight to 1 at the largest; 1 everywhere where all are equal."""
    low, high = weights.min(axis=(1, 2), keepdims=True), weights.max(axis=(1, 2), keepdims=True)
    # Float32 weights that only rounding tells apart are equal.
    flat = high - low <= 1e-6 * high
    return np.asarray(np.where(flat, 1.0, (weights - low) / np.where(flat, 1.0, high - low)), np.float64)


def overlaps(values: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """(K,): the intersection over union of the cells left at each share with the boxes; areas in cells, exact.

    Args:
        values: (h, w), from `stretched`.
        cover: (h, w), how much of each cell the union of the boxes covers.
    """
    order = np.argsort(values, axis=None)[::-1]
    left = np.searchsorted(-values.flat[order], -SHARES, side="right")  # cells of at least each share
    inside = np.concatenate([[0.0], np.cumsum(cover.flat[order])])[left]
    return np.asarray(inside / np.maximum(left + cover.sum() - inside, 1e-12))


def boxes_of(values: np.ndarray, shares: np.ndarray = SHARES) -> np.ndarray:
    """(n, K, 4): the box (y0, x0, y1, x1), in cells, around the largest connected part of what is left at each share.

    Of several that are as large it is the first in reading order.

    Args:
        values: (n, h, w), from `stretched`.
        shares: (K,).
    """
    masks = values[:, None] >= shares[:, None, None]
    parts = connected(masks)
    sizes = np.bincount(parts[masks], minlength=parts.size).reshape(*masks.shape[:2], -1)
    labels = sizes.argmax(axis=2) + np.arange(len(sizes) * len(shares)).reshape(sizes.shape[:2]) * sizes.shape[2]
    largest = parts == labels[..., None, None]
    edges = []
    for axis in (3, 2):  # whether a row, then a column, has a cell of it
        held = largest.any(axis=axis)
        edges.append((held.argmax(axis=2), held.shape[2] - held[..., ::-1].argmax(axis=2)))
    (top, bottom), (left, right) = edges
    return np.stack([top, left, bottom, right], axis=-1).astype(np.float64)


def best_iou(boxes: np.ndarray, right: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """(K,): the largest intersection over union of each box with any of the right ones.

    Args:
        boxes: (K, 4), cut off at the photo before they are compared.
        right: (n, 4).
        whole: (4,), the photo.
    """
    low, high = whole[:2], whole[2:]
    cut = np.concatenate([np.clip(boxes[:, :2], low, high), np.clip(boxes[:, 2:], low, high)], axis=1)
    return np.asarray(box_iou(cut, right).max(axis=1))


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(K, n): the intersection over union of (K, 4) with (n, 4) boxes (y0, x0, y1, x1); 0 for those without an area."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=-1)
    areas, more = (np.prod(np.clip(some[:, 2:] - some[:, :2], 0, None), axis=-1) for some in (boxes, others))
    return np.asarray(both / np.maximum(areas[:, None] + more[None, :] - both, 1e-12))
