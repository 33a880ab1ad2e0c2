"""What the maps themselves tell, without reading anything anew: sinks, interference, and words one step late."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from attnviz.stats import pearson, spearman

SINK_RANK = 0.01
"""A cell is strong at a word when it is among this share of the cells, and at least the one heaviest."""

SINK_WORDS = 0.8
"""A cell that is strong at this share of the words is a sink: it is not about any of them."""

EVEN = 1e-4
"""A map is even when its cells differ by no more than this share of their mean."""

FEWEST = 4
"""Words that it takes to tell a sink from a thing that is spoken of throughout."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interference:
    """The earlier word whose map is most like this word's: how much of a picture was there before its word was.

    Attributes:
        word: the earlier word's number.
        correlation: Pearson's, of the two maps over the cells.
    """

    word: int
    correlation: float


@dataclass(frozen=True)
class Shift:
    """Whose evidence is a word's map like: its own, or a neighbour's?

    Spearman's correlation of the word's weights with the drops, when cells are left out, of the word before, of the
    word itself, and of the word after; None where there is no such word or one of the two is constant.
    """

    before: float | None
    own: float | None
    after: float | None


def even(weights: npt.NDArray[np.floating]) -> bool:
    """Whether a word's map (h, w) puts no cell before another, to rounding: then no order of the cells is its own."""
    return float(np.ptp(weights)) <= EVEN * float(weights.mean())


def sinks(weights: npt.NDArray[np.floating]) -> list[tuple[int, int]]:
    """Cells (row, column) that are in the top 1 % at 80 % of the words (T, h, w), as Xiao et al. 2023
    (arXiv:2309.17453) and Darcet et al. 2023 (arXiv:2309.16588) found in transformers; none for fewer than 4 words."""
    count, h, w = weights.shape
    if count < FEWEST or h * w < 2:
        return []
    flat = weights.reshape(count, -1)
    strong = max(1, round(SINK_RANK * h * w))
    least = np.sort(flat, axis=1)[:, -strong]
    often = (flat >= least[:, None]).mean(axis=0)
    # A map that is even has no strongest cells, only equal ones.
    uneven = flat.max(axis=1) > flat.min(axis=1)
    if not uneven.all():
        return []
    return [(int(cell // w), int(cell % w)) for cell in np.flatnonzero(often >= SINK_WORDS)]


def without_cells(weights: npt.NDArray[np.floating], cells: list[tuple[int, int]]) -> Floats:
    """(T, h, w): the maps without some cells, each word's weights again summing to 1 (even where nothing is left)."""
    left = weights.astype(np.float64).copy()
    for row, column in cells:
        left[:, row, column] = 0
    sums = left.sum(axis=(1, 2), keepdims=True)
    found: Floats = np.where(sums > 0, left / np.maximum(sums, np.finfo(np.float64).tiny), 1 / left[0].size)
    return found


def interference(weights: npt.NDArray[np.floating]) -> list[Interference | None]:
    """For each word (T, h, w) the earlier word with the most similar map; None for the first, and for even maps."""
    found: list[Interference | None] = []
    for word, own in enumerate(weights):
        like = [(value, other) for other in range(word) if (value := pearson(own, weights[other])) is not None]
        best = max(like, default=None)
        found.append(None if best is None else Interference(best[1], best[0]))
    return found


def shifts(weights: Floats, drops: Floats) -> list[Shift]:
    """For each word, its weights (T, blocks) beside the drops (blocks, T) of the word before, itself and the next."""
    last = len(weights) - 1

    def like(word: int, other: int) -> float | None:
        return spearman(weights[word], drops[:, other]) if 0 <= other <= last else None

    return [Shift(like(word, word - 1), like(word, word), like(word, word + 1)) for word in range(last + 1)]
