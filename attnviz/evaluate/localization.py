"""Does the model look where the words are? Attention correctness and the pointing game.

Attention correctness: Liu et al., AAAI 2017, "Attention correctness in neural image captioning". The captions are
given; for each phrase with boxes, the attention's mass inside the union of its boxes, the largest over the phrase's
words; mean over phrases. Pointing game: Zhang et al. 2016 (arXiv:1608.00507), here the centre of the strongest cell of
the phrase's last word lies in a box. Phrases whose boxes cover none or all of the frame say nothing and are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from attnviz.data.regions import union_cover

if TYPE_CHECKING:
    from attnviz.data import Caption, Record
    from attnviz.photo.frame import Frame


@dataclass(frozen=True)
class Target:
    """One phrase: words [start, end), the share of each cell inside its boxes, and whether each cell's centre is."""

    start: int
    end: int
    cover: np.ndarray
    centre: np.ndarray


def targets(record: Record, caption: Caption, frame: Frame) -> list[Target]:
    """The phrases of a caption that can be measured, their boxes on the model's grid.

    Args:
        frame: of the model's own input, so that boxes lie where the model sees them.
    """
    found = []
    for phrase in caption.phrases:
        boxes = record.boxes.get(phrase.chain)
        if boxes is None or not len(boxes):
            continue
        whole = union_cover(boxes, (1, 1))[0, 0]
        if not 1e-9 < whole < 1 - 1e-9:
            continue
        cells = frame.to_cells(boxes)
        h, w = frame.grid
        y, x = np.arange(h)[:, None] + 0.5, np.arange(w)[None, :] + 0.5
        centre = np.zeros((h, w), bool)
        for y0, x0, y1, x1 in cells:
            centre |= (y0 <= y) & (y <= y1) & (x0 <= x) & (x <= x1)
        found.append(Target(phrase.start, phrase.end, union_cover(cells, frame.grid), centre))
    return found


@dataclass
class Tally:
    """Running means of correctness and pointing over phrases."""

    mass: list[float] = field(default_factory=list)
    hits: list[float] = field(default_factory=list)

    def add(self, weights: np.ndarray, phrases: Sequence[Target]) -> None:
        """Counts the phrases of one caption; `weights` is (T, h, w)."""
        for phrase in phrases:
            # A caption that was cut for length lacks its last phrases.
            if phrase.end <= len(weights):
                self.mass.append(float((weights[phrase.start : phrase.end] * phrase.cover).sum((1, 2)).max()))
                self.hits.append(float(phrase.centre.flat[weights[phrase.end - 1].argmax()]))

    def add_uniform(self, phrases: Sequence[Target]) -> None:
        """Counts what weights that are equal everywhere reach; their pointing is that of a random cell."""
        for phrase in phrases:
            self.mass.append(float(phrase.cover.mean()))
            self.hits.append(float(phrase.centre.mean()))

    def result(self) -> dict[str, float]:
        """`correctness` and `pointing`, in [0, 1], and how many `phrases` they are means of."""
        count = len(self.mass)
        means = {"correctness": float(np.mean(self.mass)), "pointing": float(np.mean(self.hits))} if count else {}
        return {**means, "phrases": count}


def centre_weights(grid: tuple[int, int]) -> np.ndarray:
    """(h, w): a fixed Gaussian around the centre, sigma a quarter of the side, summing to 1."""
    h, w = grid
    y, x = (np.arange(h) + 0.5) / h - 0.5, (np.arange(w) + 0.5) / w - 0.5
    bump = np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / (2 * 0.25**2))
    return np.asarray(bump / bump.sum())
