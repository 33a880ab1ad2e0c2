"""Leave cells out one by one: does the word become less likely where the map is heavy, and does its sign agree?

Li et al. 2016 (arXiv:1612.08220) on erasing parts of the input; Liu et al. 2022, "Rethinking Attention-Model
Explainability through Faithfulness Violation Test" (arXiv:2201.12114): weight on what speaks *against* a word is a
violation, since a map has no sign and is read as support.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from attnviz.stats import spearman

if TYPE_CHECKING:
    from attnviz.evidence.removal import Removal
    from attnviz.photo.frame import Frame
    from attnviz.photo.image import Photo

SMALLEST = 1e-3
"""Nats: a drop is known to a thousandth of the probability. What is less is rounding, and has no sign and no rank."""

MOST_BLOCKS = 256
"""Photos that are read at the most: finer grids are left out in blocks of neighbouring cells."""

Floats = npt.NDArray[np.float64]
Blocks = npt.NDArray[np.intp]


def blocks(frame: Frame, most: int = MOST_BLOCKS) -> Blocks:
    """(h, w): the number of the block that each cell belongs to, from 0; -1 on padding, which cannot be left out.

    Blocks are squares of 1x1, 2x2, ... cells, the smallest of which there are at most `most`.
    """
    h, w = frame.grid
    shown = frame.coverage() > 0
    side = 1
    while True:
        numbers = (np.arange(h) // side)[:, None] * math.ceil(w / side) + np.arange(w) // side
        used, found = np.unique(numbers[shown], return_inverse=True)
        if len(used) <= most:
            out = np.full((h, w), -1, np.intp)
            out[shown] = found
            return out
        side += 1


def photos(removal: Removal, parts: Blocks) -> Iterator[Photo]:
    """The photo without each of its blocks (h, w), see `blocks`, one at a time."""
    for block in range(int(parts.max()) + 1):
        yield removal.without(parts == block)


def drops(left: Floats, whole: Floats) -> Floats:
    """(blocks, T): by how much the logarithm of each word's probability falls when a block is left out.

    Args:
        left: (blocks, T), logarithms of the words' probabilities in `photos`.
        whole: (T,), the same in the whole photo.
    """
    return np.rint((whole[None] - left) / SMALLEST) * SMALLEST


def in_blocks(weights: npt.NDArray[np.floating], parts: Blocks) -> Floats:
    """(T, blocks): the weight of each block, from (T, h, w)."""
    flat, numbers = weights.reshape(len(weights), -1).astype(np.float64), parts.ravel()
    out = np.zeros((len(weights), int(parts.max()) + 1))
    for row, sums in zip(flat, out, strict=True):
        np.add.at(sums, numbers[numbers >= 0], row[numbers >= 0])
    return out


def correlations(weights: Floats, found: Floats) -> list[float | None]:
    """For each word, Spearman's correlation of its blocks' weight (T, blocks) with the drop (blocks, T)."""
    return [spearman(row, drop) for row, drop in zip(weights, found.T, strict=True)]


def violations(weights: Floats, found: Floats) -> list[float]:
    """For each word, the share of its weight on blocks whose removal makes the word *more* likely."""
    totals = np.maximum(weights.sum(axis=1), np.finfo(np.float64).tiny)
    return [float(row[drop < 0].sum() / total) for row, drop, total in zip(weights, found.T, totals, strict=True)]
